"""The API server: the verbs, forms and errors that the platform and kubectl use."""
