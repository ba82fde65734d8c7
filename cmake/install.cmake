# What `cmake --install` puts down: the library, its headers, the tool, a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/simtile)
target_compile_features(simtile PUBLIC cxx_std_20)

install(TARGETS simtile EXPORT simtileTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY engine/include/simtile DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT simtileTargets NAMESPACE simtile:: DESTINATION ${package_dir})

configure_package_config_file(cmake/simtileConfig.cmake.in simtileConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(simtileConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/simtileConfig.cmake ${PROJECT_BINARY_DIR}/simtileConfigVersion.cmake
              cmake/FindLibZip.cmake cmake/FindXXHash.cmake
        DESTINATION ${package_dir})

# Relative to the .pc file itself, so that `cmake --install --prefix` may put the tree anywhere.
set(pkgconfig_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pkgconfig_to_prefix ${pkgconfig_dir} ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/simtile.pc.in simtile.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/simtile.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
