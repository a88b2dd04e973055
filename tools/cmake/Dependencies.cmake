# Finds every third-party package. All that are absent are named in one message, with the Debian package that has each.

# wengert_need(<Debian package> <arguments of find_package>...)
macro(wengert_need debian package)
  find_package(${package} ${ARGN} QUIET)
  if(NOT ${package}_FOUND)
    list(APPEND missing_names ${package})
    list(APPEND missing_debian ${debian})
  endif()
endmacro()

wengert_need(libfmt-dev fmt CONFIG)
wengert_need(libtbb-dev TBB CONFIG)
wengert_need(libxtensor-dev xtensor CONFIG)
wengert_need(libopenblas-dev OpenBLAS CONFIG)
if(OpenBLAS_FOUND)  # without it xtensor-blas's own file stops with a message that does not help
  set(BLA_VENDOR OpenBLAS)
  wengert_need(libxtensor-blas-dev xtensor-blas CONFIG)
endif()
wengert_need(libhwy-dev hwy CONFIG)
wengert_need(libtomlplusplus-dev tomlplusplus CONFIG)
wengert_need(nlohmann-json3-dev nlohmann_json CONFIG)
wengert_need(zlib1g-dev ZLIB MODULE)
if(ZLIB_FOUND)  # libpng's search includes zlib's
  wengert_need(libpng-dev PNG MODULE)
endif()
if(WENGERT_BUILD_COMMAND OR WENGERT_BUILD_TESTS)
  wengert_need(libcli11-dev CLI11 CONFIG)
endif()
if(WENGERT_BUILD_TESTS)
  wengert_need(doctest-dev doctest CONFIG)
  wengert_need(libboost-context-dev boost_context CONFIG)  # the threads of emulated CUDA kernels
  wengert_need(python3 Python3 COMPONENTS Interpreter)
endif()

if(missing_names)
  list(JOIN missing_names ", " missing_names)
  list(JOIN missing_debian " " missing_debian)
  message(FATAL_ERROR "Wengert needs what is not installed here: ${missing_names}.\n"
    "On Debian and Ubuntu:  sudo apt-get install ${missing_debian}")
endif()

# Debian's OpenBLAS comes with variables only. Its own folder goes first, as <cblas.h> may be another BLAS's.
add_library(wengert_openblas INTERFACE IMPORTED)
target_include_directories(wengert_openblas SYSTEM INTERFACE ${OpenBLAS_INCLUDE_DIRS})
target_link_libraries(wengert_openblas INTERFACE ${OpenBLAS_LIBRARIES})
