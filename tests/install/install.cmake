# What a user gets: cmake --install, the packages, and programs built against them.
if(TARGET ptsecure AND NOT ptsecure_sanitize_flags AND NOT PTSECURE_FUZZ)
  add_test(NAME install COMMAND "${CMAKE_CURRENT_LIST_DIR}/run.sh" "${PROJECT_SOURCE_DIR}"
           "${CMAKE_BINARY_DIR}" "${CMAKE_BINARY_DIR}/tests/install" "${PROJECT_VERSION}"
           $<TARGET_EXISTS:ptsecure_torch> $<TARGET_EXISTS:ptsecure_cli>
           $<TARGET_EXISTS:ptsecure_server>)
  set_tests_properties(install PROPERTIES LABELS "install;torch" TIMEOUT 900 ENVIRONMENT
    "${test_environment};CMAKE=${CMAKE_COMMAND};CPACK=${CMAKE_CPACK_COMMAND};CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER}")
endif()
