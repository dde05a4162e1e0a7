require ["foreverypart", "extracttext"];
foreverypart { extracttext "v"; }
