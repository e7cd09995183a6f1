# The CPU core: one source of kernels, compiled once for each instruction set.
include(CheckCXXCompilerFlag)

add_library(
  genfast_cpu OBJECT
  csrc/cpu/dispatch.cpp
  csrc/cpu/draw.cpp
  csrc/cpu/executor.cpp
  csrc/cpu/frame.cpp
  csrc/cpu/homes.cpp
  csrc/cpu/kept.cpp
  csrc/cpu/lags.cpp
  csrc/cpu/measure.cpp
  csrc/cpu/packing.cpp
  csrc/cpu/raster.cpp
  csrc/cpu/run.cpp
  csrc/cpu/session.cpp
  csrc/cpu/state.cpp
  csrc/cpu/wavefront.cpp)
target_link_libraries(genfast_cpu PUBLIC genfast_options)

# Sanitized kernels are run by small tests alone, and compile four times as fast without -O3.
set(genfast_kernels_optimized -O3)
if(GENFAST_SANITIZE)
  set(genfast_kernels_optimized -O1)
endif()

# Its sources see kernels.h only, and whatever they define lies in a namespace of their own: see kernels.h.
function(genfast_add_isa name)
  add_library(genfast_isa_${name} OBJECT csrc/cpu/isa_${name}.cpp)
  target_link_libraries(genfast_isa_${name} PRIVATE genfast_options)
  # GCC 12 takes the deliberately undefined operands inside its own AVX-512 headers for mistakes.
  target_compile_options(genfast_isa_${name} PRIVATE ${genfast_kernels_optimized} -fno-math-errno -fno-exceptions
                                                            -Wno-uninitialized -Wno-maybe-uninitialized ${ARGN})
  target_link_libraries(genfast_cpu PUBLIC $<TARGET_OBJECTS:genfast_isa_${name}>)
  add_custom_command(
    OUTPUT isa_${name}.checked
    COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} -DISA=${name} "-DOBJECT=$<TARGET_OBJECTS:genfast_isa_${name}>" -P
            ${PROJECT_SOURCE_DIR}/cmake/CheckWeakSymbols.cmake
    COMMAND ${CMAKE_COMMAND} -E touch isa_${name}.checked
    DEPENDS genfast_isa_${name} $<TARGET_OBJECTS:genfast_isa_${name}> ${PROJECT_SOURCE_DIR}/cmake/CheckWeakSymbols.cmake
    COMMAND_EXPAND_LISTS)
  add_custom_target(genfast_check_${name} ALL DEPENDS isa_${name}.checked)
endfunction()

genfast_add_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  check_cxx_compiler_flag(-march=x86-64-v4 GENFAST_HAS_X86_LEVELS)
  if(GENFAST_HAS_X86_LEVELS)
    genfast_add_isa(v3 -march=x86-64-v3)
    genfast_add_isa(v4 -march=x86-64-v4 -mprefer-vector-width=512)
    target_compile_definitions(genfast_options INTERFACE GENFAST_X86_LEVELS)
  endif()
endif()
