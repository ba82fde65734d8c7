// The progress line: its form, its rate and its time left.
#include "tools/progress_text.h"

#include <gtest/gtest.h>

namespace simtile::tools {
namespace {

TEST(ProgressText, HasTheFormThatScriptsRead) {
  EXPECT_EQ(format_progress({50000, 500000, 50000 / 1.2e6, 0.1, 0.0}),
            "progress 50000/500000 rows (10.0%) 1.2 Mrow/s eta 00:00:00");
  EXPECT_EQ(format_progress({25, 100, 50.0, 0.25, 0.0}), "progress 25/100 rows (25.0%) 0.5 row/s eta 00:02:30");
}

TEST(ProgressText, TimeLeftIsJudgedByPairsThatThisProcessDid) {
  // Half was done before; a quarter took 100 s, so the last quarter takes as long.
  EXPECT_EQ(format_progress({75, 100, 100.0, 0.75, 0.5}), "progress 75/100 rows (75.0%) 0.2 row/s eta 00:01:40");
}

TEST(ProgressText, IsSilentWhileNoRateIsKnown) {
  EXPECT_EQ(format_progress({0, 100, 1.0, 0.0, 0.0}), std::nullopt);
  EXPECT_EQ(format_progress({50, 100, 1.0, 0.5, 0.5}), std::nullopt);
  EXPECT_EQ(format_progress({50, 100, 0.0, 0.5, 0.0}), std::nullopt);
}

TEST(ProgressText, Rates) {
  EXPECT_EQ(format_rate(12.34), "12.3 row/s");
  EXPECT_EQ(format_rate(850000.0), "850.0 krow/s");
  EXPECT_EQ(format_rate(1.25e6), "1.2 Mrow/s");
}

TEST(ProgressText, Durations) {
  EXPECT_EQ(format_duration(0.0), "00:00:00");
  EXPECT_EQ(format_duration(200.0), "00:03:20");
  EXPECT_EQ(format_duration(100.0 * 3600 + 59.4), "100:00:59");
  EXPECT_EQ(format_duration(-1.0), "00:00:00");
}

}  // namespace
}  // namespace simtile::tools
