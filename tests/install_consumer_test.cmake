# Installs the built tree into an empty prefix, then configures, builds and runs tests/install_consumer against it: once
# through find_package, once through pkg-config; then tests/c_api_test.c, against the shared library. Arguments (-D):
# BUILD_DIR, SOURCE_DIR, WORK_DIR, GENERATOR, COMPILER, C_COMPILER, FLAGS (the sanitizers' flags, which a consumer of a
# sanitized library needs too), C_LINK_FLAGS (the same, for linking C).
cmake_minimum_required(VERSION 3.22)

function(run)
  execute_process(COMMAND ${ARGV} WORKING_DIRECTORY ${WORK_DIR} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT result EQUAL 0)
    string(REPLACE ";" " " command "${ARGV}")
    message(FATAL_ERROR "failed (${result}): ${command}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)

run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/tests/install_consumer -B ${WORK_DIR}/build -G ${GENERATOR}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix)
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${WORK_DIR}/build/consumer)
set(expected "${output}")

file(GLOB_RECURSE pc_file ${WORK_DIR}/prefix/simtile-cpp.pc)
get_filename_component(pc_dir ${pc_file} DIRECTORY)
run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc_dir} pkg-config --cflags --libs simtile-cpp)
separate_arguments(pc_flags UNIX_COMMAND "${output}")
separate_arguments(sanitizer_flags UNIX_COMMAND "${FLAGS}")
run(${COMPILER} -std=c++20 ${sanitizer_flags} ${SOURCE_DIR}/tests/install_consumer/main.cc -o ${WORK_DIR}/pc_consumer
    ${pc_flags})
run(${WORK_DIR}/pc_consumer)
if(NOT output STREQUAL expected)
  message(FATAL_ERROR "two builds of one program print different things:\n${expected}\n${output}")
endif()

run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc_dir} pkg-config --cflags --libs simtile)
separate_arguments(pc_flags UNIX_COMMAND "${output}")
get_filename_component(lib_dir ${pc_dir} DIRECTORY)
run(${C_COMPILER} -std=c11 -pedantic -Wall -Werror -D_POSIX_C_SOURCE=200809L ${sanitizer_flags}
    ${SOURCE_DIR}/tests/c_api_test.c -o ${WORK_DIR}/c_consumer ${pc_flags} -pthread -lm ${C_LINK_FLAGS}
    -Wl,-rpath,${lib_dir})
run(${WORK_DIR}/c_consumer ${WORK_DIR})
