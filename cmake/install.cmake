# What `cmake --install` puts down: the libraries, their headers, a CMake package and pkg-config files; the tool and the
# Python module say themselves what they install. Components are Debian's packages (packages.cmake).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/simtile)
target_compile_features(simtile PUBLIC cxx_std_20)

install(TARGETS simtile simtile_c EXPORT simtileTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lib NAMELINK_COMPONENT dev)
install(DIRECTORY engine/include/simtile DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev FILES_MATCHING PATTERN "*.h")
install(EXPORT simtileTargets NAMESPACE simtile:: DESTINATION ${package_dir} COMPONENT dev)

configure_package_config_file(cmake/simtileConfig.cmake.in simtileConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(simtileConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/simtileConfig.cmake ${PROJECT_BINARY_DIR}/simtileConfigVersion.cmake
              cmake/FindLibZip.cmake cmake/FindXXHash.cmake
        DESTINATION ${package_dir} COMPONENT dev)

# Relative to the .pc file itself, so that `cmake --install --prefix` may put the tree anywhere.
set(pkgconfig_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pkgconfig_to_prefix ${pkgconfig_dir} ${CMAKE_INSTALL_PREFIX})
foreach(name simtile simtile-cpp)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()
