"""The README's Python example, run as it stands there."""

import os
import re
import unittest

import numpy as np
from helpers import TempFolderTest, random_rows

README = os.path.join(os.path.dirname(__file__), "..", "..", "README.md")


class ReadmeTest(TempFolderTest):
    def test_example(self):
        with open(README) as file:
            (example,) = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
        x = random_rows(500, 16)
        names = {"x": x, "skus": [f"sku-{i}" for i in range(500)], "q": x[7]}
        previous = os.getcwd()
        os.chdir(self.folder)
        try:
            exec(example, names)
        finally:
            os.chdir(previous)
        self.assertEqual((names["m"].find("sku-42"), names["nn"].shape), (42, (500, 200)))
        self.assertEqual(names["rows"][0], 7)
        self.assertTrue(np.shares_memory(names["m"][10:20], names["m"][:]))


if __name__ == "__main__":
    unittest.main()
