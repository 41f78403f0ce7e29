// The measured process of the lab's Go subjects: `maps SCENARIO SUBJECT N`, run by the lab.
//
// It does what ebbmap.lab.worker does and speaks the same lines (see ebbmap.lab.wire) on its standard input and
// output. It imports little, so that a fresh toolchain builds it in seconds.
package main

import (
	"os"
	"runtime"
	"strconv"
)

func main() {
	if len(os.Args) != 4 {
		fail("usage: maps SCENARIO SUBJECT N")
	}
	drive, known := scenarios[os.Args[1]]
	if !known {
		fail("unknown scenario " + os.Args[1])
	}
	open, known := subjects[os.Args[2]]
	if !known {
		fail("unknown subject " + os.Args[2])
	}
	n, err := strconv.Atoi(os.Args[3])
	if err != nil || n < 1 {
		fail("not a number of entries: " + os.Args[3])
	}
	bench := newBench()
	bench.wire.text("ready", "version", runtime.Version())
	bench.wire.wait()
	drive(bench, open, n)
	bench.wire.text("done", "", "")
}

func fail(why string) {
	os.Stderr.WriteString(why + "\n")
	os.Exit(2)
}
