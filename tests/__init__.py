"""The tests of signalbox: unit, contract, integration, e2e and fault."""
