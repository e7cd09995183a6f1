# Fails if an object of one instruction set holds a weak symbol outside that set's namespace: the linker keeps one copy
# of such a symbol, and it could be the one compiled with instructions that another processor lacks.
execute_process(COMMAND ${NM} -C ${OBJECT} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" weak "${symbols}")
foreach(symbol IN LISTS weak)
  # The name alone: arguments and template arguments may well name the namespace.
  string(REGEX REPLACE "[(<].*" "" name "${symbol}")
  if(NOT name MATCHES "genfast::cpu::${ISA}::" AND NOT name MATCHES "__(asan|ubsan|tsan|odr)")
    message(FATAL_ERROR "${OBJECT}: weak symbol outside genfast::cpu::${ISA}:${symbol}")
  endif()
endforeach()
