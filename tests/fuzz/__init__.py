"""Generated requests and generated servers, end to end: nothing makes the API fail or hang."""
