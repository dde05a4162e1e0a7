require ["encoded-character", "fileinto"];
fileinto "";
fileinto "${hex:ff}";
