unsigned long USER_PTR_MAX = 1;
