require ["encoded-character", "fileinto", "variables"];
set "name" "${hex:ff}";
fileinto "a${name}";
