require ["encoded-character", "fileinto"];
fileinto "${unicode:110000}";
fileinto "${unicode:D800}";
fileinto "${unicode:dfff}";
fileinto "${hex:FFF}";
fileinto "${unicode:D7FF}${unicode:E000}${unicode:10FFFF}";
