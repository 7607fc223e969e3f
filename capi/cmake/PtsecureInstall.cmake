# cmake --install and the packages that CPack makes: library, dev, command, server.
include(CMakePackageConfigHelpers)

install(TARGETS ptsecure EXPORT ptsecureTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT dev)
if(TARGET ptsecure_torch)
  install(TARGETS ptsecure_torch ptsecure_libtorch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
endif()
if(TARGET ptsecure_cli)
  install(TARGETS ptsecure_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
endif()
if(TARGET ptsecure_server)
  install(TARGETS ptsecure_server RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT server)
endif()
install(DIRECTORY capi/include/ptsecure DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libptsecure0)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libptsecure-dev)
set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME ptsecure)
set(CPACK_DEBIAN_SERVER_PACKAGE_NAME ptsecure-server)
set(components library dev command)
if(TARGET ptsecure_server)
  list(APPEND components server)
endif()
foreach(component IN LISTS components)
  string(TOUPPER ${component} upper)
  install(FILES LICENSE RENAME copyright COMPONENT ${component}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ptsecure)
install(EXPORT ptsecureTargets NAMESPACE ptsecure:: DESTINATION ${package_dir} COMPONENT dev)
configure_package_config_file(capi/cmake/ptsecureConfig.cmake.in
  "${CMAKE_CURRENT_BINARY_DIR}/ptsecureConfig.cmake" INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/ptsecureConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/ptsecureConfig.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/ptsecureConfigVersion.cmake"
        DESTINATION ${package_dir} COMPONENT dev)

# The prefix is known only when installing: outside the loader's own folders a program that links
# the library needs an rpath to start.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH relative_prefix "/prefix/${pc_dir}" "/prefix")
string(REGEX REPLACE "/$" "" relative_prefix "${relative_prefix}")
set(rpath_flag "")
configure_file(capi/cmake/ptsecure.pc.in "${CMAKE_CURRENT_BINARY_DIR}/usual/ptsecure.pc" @ONLY)
set(rpath_flag "-Wl,-rpath,\${libdir} ")
configure_file(capi/cmake/ptsecure.pc.in "${CMAKE_CURRENT_BINARY_DIR}/unusual/ptsecure.pc" @ONLY)
install(CODE "
  set(kind unusual)
  if(CMAKE_INSTALL_PREFIX MATCHES \"^/usr(/local)?/?$\")
    set(kind usual)
  endif()
  file(INSTALL \"${CMAKE_CURRENT_BINARY_DIR}/\${kind}/ptsecure.pc\"
       DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${pc_dir}\")" COMPONENT dev)

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME ptsecure)
set(CPACK_PACKAGE_VENDOR "ptsecure")
set(CPACK_PACKAGE_CONTACT "the ptsecure maintainers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${CMAKE_CURRENT_SOURCE_DIR}/LICENSE")
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_PACKAGE_FILE_NAME "ptsecure-${PROJECT_VERSION}-linux-x86_64")
# One archive with everything, one .deb per component.
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(PTSECURE_MONGODB)
  # Opened at run time, so not found by dpkg-shlibdeps.
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "libmongoc-1.0-0 (>= 1.23)")
endif()
if(IPSEC_MB_INCLUDE_DIR)
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS "libipsec-mb1 (>= 1.3)")
endif()
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libptsecure0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_COMMAND_PACKAGE_DEPENDS "libptsecure0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "libptsecure0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}")
if(TorchCpu_DIR)
  # No Debian package has libtorch: its libraries are found, and need no dependency.
  list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${TorchCpu_DIR}/lib")
endif()
include(CPack)
