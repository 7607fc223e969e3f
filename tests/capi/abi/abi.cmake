# What the C ABI promises beside its behaviour: the header stands alone in every language it is for,
# the library exports what capi/exports.txt lists and nothing else, its types are those of the stored
# baseline, and it works when opened at run time.
set(abi_dir "${CMAKE_CURRENT_LIST_DIR}")

add_test(NAME capi_headers COMMAND "${abi_dir}/headers.sh" "${CMAKE_C_COMPILER}"
         "${CMAKE_CXX_COMPILER}" "${PROJECT_SOURCE_DIR}/capi/include")

set(plugin "")
if(TARGET ptsecure_torch)
  set(plugin $<TARGET_FILE:ptsecure_torch>)
endif()
add_test(NAME capi_exports COMMAND "${abi_dir}/exports.sh" "${CMAKE_NM}" $<TARGET_FILE:ptsecure>
         "${PROJECT_SOURCE_DIR}" ${plugin})

add_executable(capi_dlopen "${abi_dir}/dlopen.c")
ptsecure_test_binary(capi_dlopen)
target_include_directories(capi_dlopen PRIVATE "${PROJECT_SOURCE_DIR}/capi/include")
target_link_libraries(capi_dlopen PRIVATE ${CMAKE_DL_LIBS})
add_dependencies(capi_dlopen ptsecure)
ptsecure_register_test(capi_dlopen "" capi_dlopen $<TARGET_FILE:ptsecure>)

find_program(ABIDW_PROGRAM abidw)
find_program(ABIDIFF_PROGRAM abidiff)
mark_as_advanced(ABIDW_PROGRAM ABIDIFF_PROGRAM)
if(NOT ABIDW_PROGRAM OR NOT ABIDIFF_PROGRAM)
  message(STATUS "No abidw (Debian: abigail-tools): the comparison with the ABI baseline is left out")
elseif(NOT ptsecure_sanitize_flags AND NOT PTSECURE_FUZZ)
  # The types of the interface are read from full debug information.
  target_compile_options(ptsecure PRIVATE -g)
  add_test(NAME capi_abi COMMAND "${abi_dir}/abi.sh" compare "${ABIDW_PROGRAM}" "${ABIDIFF_PROGRAM}"
           $<TARGET_FILE:ptsecure> "${PROJECT_SOURCE_DIR}/capi/include")
  add_custom_target(update_abi_baseline
    COMMAND "${abi_dir}/abi.sh" update "${ABIDW_PROGRAM}" "${ABIDIFF_PROGRAM}"
            $<TARGET_FILE:ptsecure> "${PROJECT_SOURCE_DIR}/capi/include" DEPENDS ptsecure)
endif()
