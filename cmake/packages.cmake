# Debian packages, by `cpack -G DEB` in the build folder: one for each component that things are installed with.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "the simtile project")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL lib dev tools python)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "simtile maintainers <maintainers@simtile.invalid>")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # what the files are linked with, asked of dpkg
set(own_version "${PROJECT_VERSION}")

set(CPACK_DEBIAN_LIB_PACKAGE_NAME libsimtile${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_LIB_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIB_DESCRIPTION "Exact nearest neighbours of matrices larger than memory (C ABI)
 Finds the most similar rows of embedding matrices, exactly, within a page budget.
 This package has the shared library.")
set(CPACK_DEBIAN_LIB_PACKAGE_GENERATE_SHLIBS ON)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libsimtile-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEV_DESCRIPTION "Exact nearest neighbours of matrices larger than memory (development)
 Headers, the static C++ library, and what CMake and pkg-config need to find
 them and the shared C library.")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "libsimtile${PROJECT_VERSION_MAJOR} (= ${own_version}), libtbb-dev, libxxhash-dev, libzip-dev, libhwy-dev")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME simtile)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "Exact nearest neighbours of matrices larger than memory (tool)
 The command line tool, its manual pages, and completions for bash, zsh and
 fish.")
# libhdf5 is loaded when an .h5 file is imported, and only then.
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS "libhdf5-103-1")

set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-simtile)
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "Exact nearest neighbours of matrices larger than memory (Python)
 NumPy arrays in and out, views of mapped rows without copies, and
 scikit-learn's NearestNeighbors by a change of import.")
if(TARGET simtile_python)
  math(EXPR next_minor "${simtile_python_minor} + 1")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS
      "python3 (>= 3.${simtile_python_minor}), python3 (<< 3.${next_minor}), python3-numpy")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/python3-simtile/postinst
                                                ${PROJECT_SOURCE_DIR}/cmake/python3-simtile/prerm)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_RECOMMENDS "python3-scipy, python3-sklearn")
else()
  list(REMOVE_ITEM CPACK_COMPONENTS_ALL python)
endif()

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  install(FILES LICENSE RENAME copyright COMPONENT ${component}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
endforeach()
include(CPack)
