"""Generated messages, requests and servers, end to end: nothing makes a device fail or hang."""
