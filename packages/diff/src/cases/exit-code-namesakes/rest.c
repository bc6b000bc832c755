static __attribute__((section(".exit.text"), used)) int leave(int x) { return x; }
