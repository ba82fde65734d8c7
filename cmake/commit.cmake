# Writes the commit that is built, and whether files differ from it, to a header. Arguments (-D): SOURCE_DIR, HEADER.
set(commit "unknown")
find_program(git git)
if(git)
  execute_process(COMMAND ${git} -C ${SOURCE_DIR} describe --always --abbrev=12 --dirty=+changes --exclude=*
                  OUTPUT_VARIABLE described RESULT_VARIABLE result ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(result EQUAL 0)
    set(commit "${described}")
  endif()
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define SIMTILE_COMMIT \"${commit}\"\n" @ONLY)
