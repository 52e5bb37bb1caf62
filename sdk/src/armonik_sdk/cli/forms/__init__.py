"""Forms of what the program computes, as pydantic models: their JSON Schemas are in the documents."""
