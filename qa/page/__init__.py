"""The web page: questions, cited answers, and the cited words in their documents, in a browser on this machine."""
