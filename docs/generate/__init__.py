"""Generates the reference, the AsyncAPI document and the JSON Schemas from the code, so that nothing is said twice."""
