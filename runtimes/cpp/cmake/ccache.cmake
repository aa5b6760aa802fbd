# The presets compile through ccache where the host has it. Its folder is outside the checkout (CCACHE_DIR, or ~/.cache/ccache), and
# paths are kept relative, so that a fresh clone finds what another compiled.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  foreach(language C CXX)
    set(CMAKE_${language}_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
  endforeach()
endif()
