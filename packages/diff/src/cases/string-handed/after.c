extern int request_region(int, int, const char *);
int claim(int port) { return request_region(port, 2, "name"); }
