# Language, warnings, hardening, sanitizers and output folders of every target of this project.
set(CMAKE_C_STANDARD 99)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# Line tables are enough for backtraces; full debug information doubles the build of the plug-in.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
endif()

find_program(CCACHE_PROGRAM ccache)
mark_as_advanced(CCACHE_PROGRAM)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

if(PTSECURE_SANITIZE STREQUAL "address")
  set(ptsecure_sanitize_flags -fsanitize=address,undefined -fno-sanitize-recover=all
      -fno-omit-frame-pointer)
elseif(PTSECURE_SANITIZE STREQUAL "thread")
  set(ptsecure_sanitize_flags -fsanitize=thread -fno-omit-frame-pointer)
elseif(PTSECURE_SANITIZE)
  message(FATAL_ERROR "PTSECURE_SANITIZE is address, thread or empty, not '${PTSECURE_SANITIZE}'.")
endif()
if(PTSECURE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "PTSECURE_FUZZ needs clang: configure with CC=clang-19 CXX=clang++-19.")
  endif()
  set(ptsecure_sanitize_flags -fsanitize=address,undefined,fuzzer-no-link
      -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()
if(ptsecure_sanitize_flags)
  if(PTSECURE_TORCH)
    message(FATAL_ERROR "libtorch is not instrumented: a sanitized build needs -DPTSECURE_TORCH=OFF.")
  endif()
  add_compile_options(${ptsecure_sanitize_flags})
  add_link_options(${ptsecure_sanitize_flags})
endif()

set(ptsecure_warnings -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Wrong reports of GCC 12 on std::string (-Wrestrict) and on instrumented code.
  list(APPEND ptsecure_warnings $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
  if(ptsecure_sanitize_flags)
    list(APPEND ptsecure_warnings -Wno-maybe-uninitialized -Wno-tsan)
  endif()
endif()

# Headers are most of what a file costs to compile (torch, nlohmann/json, CLI11), so that a folder
# compiled as one file costs little more than its dearest. tests/unity.py checks what that asks for:
# no name in two unnamed namespaces of a folder.
function(ptsecure_unity target)
  if(NOT PTSECURE_UNITY)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" OUTPUT_VARIABLE group)
    string(MAKE_C_IDENTIFIER "${group}" group)
    set_property(SOURCE "${source}" PROPERTY UNITY_GROUP ${group})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # What is hidden from one file by another is seen, and what only a unit's main file should have.
  target_compile_options(${target} PRIVATE -Wno-shadow
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()

function(ptsecure_compile_options target)
  target_compile_options(${target} PRIVATE ${ptsecure_warnings}
                         $<$<BOOL:${PTSECURE_WERROR}>:-Werror> -fstack-protector-strong)
  if(NOT ptsecure_sanitize_flags AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(${target} PRIVATE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
  set_target_properties(${target} PROPERTIES
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    target_link_options(${target} PRIVATE LINKER:-z,relro,-z,now)
    # Relative, so that a moved build tree and the install tree both run.
    set_target_properties(${target} PROPERTIES BUILD_WITH_INSTALL_RPATH ON
                          INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};$ORIGIN/../lib")
  endif()
endfunction()

# A shared library that stays mapped once loaded and exports what its version script lists.
function(ptsecure_plugin_link_options target version_script)
  target_link_options(${target} PRIVATE "LINKER:--version-script=${version_script}"
                      LINKER:-z,nodelete,-z,relro,-z,now)
  if(NOT ptsecure_sanitize_flags)
    target_link_options(${target} PRIVATE LINKER:-z,defs)
  endif()
  set_target_properties(${target} PROPERTIES LINK_DEPENDS "${version_script}"
                        BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN")
endfunction()

# The core and the plug-in talk C++ to each other, so they must come from the same sources and
# compiler: equal ids say that they do.
function(ptsecure_build_id out)
  file(GLOB headers CONFIGURE_DEPENDS libptsecure/base/*.hpp libptsecure/engine/*.hpp
       libptsecure/value/*.hpp)
  list(SORT headers)
  set(text "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${ptsecure_sanitize_flags}")
  foreach(header IN LISTS headers)
    file(SHA256 "${header}" digest)
    string(APPEND text " ${digest}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
  endforeach()
  string(SHA256 digest "${text}")
  string(SUBSTRING "${digest}" 0 16 digest)
  set(${out} "${PROJECT_VERSION}-${digest}" PARENT_SCOPE)
endfunction()
