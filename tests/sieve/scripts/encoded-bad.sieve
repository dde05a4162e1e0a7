require ["encoded-character", "fileinto"];
fileinto "${unicode:110000}x";
fileinto "${unicode:d800}x";
