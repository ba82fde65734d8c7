# libsimtile.so defines exactly the symbols that exported_symbols.map names, and simtile.h declares exactly those.
# Arguments (-D): LIBRARY, MAP, HEADER, NM.
cmake_minimum_required(VERSION 3.22)

execute_process(COMMAND ${NM} --dynamic --defined-only --format=posix ${LIBRARY} OUTPUT_VARIABLE table
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${table}")
set(defined "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "[ @].*" "" name "${line}")
  if(NOT name MATCHES "^SIMTILE_[0-9]+$")  # the version itself
    list(APPEND defined ${name})
  endif()
endforeach()
file(STRINGS ${MAP} map_lines REGEX "^    simtile_[a-z0-9_]+.$")
list(TRANSFORM map_lines REPLACE "[^a-z0-9_]" "")
file(READ ${HEADER} header)
string(REGEX MATCHALL "\nSIMTILE_API [^(]*\\(" declarations "${header}")
list(TRANSFORM declarations REPLACE ".*[ *](simtile_[a-z0-9_]+)\\($" "\\1")

foreach(names defined map_lines declarations)
  list(SORT ${names})
endforeach()
if(map_lines STREQUAL "")
  message(FATAL_ERROR "${MAP} names no symbols")
endif()
if(NOT defined STREQUAL map_lines)
  message(FATAL_ERROR "exported: ${defined}\nin the map: ${map_lines}")
endif()
if(NOT declarations STREQUAL map_lines)
  message(FATAL_ERROR "declared: ${declarations}\nin the map: ${map_lines}")
endif()
