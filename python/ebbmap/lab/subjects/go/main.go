// The measured process of the lab's Go subjects: `maps SCENARIO SUBJECT N ...`, run by the lab.
//
// It does what ebbmap.lab.worker does and speaks the same lines (see ebbmap.lab.wire) on its standard input and
// output. It imports little, so that a fresh toolchain builds it in seconds.
package main

import (
	"os"
	"runtime"
	"strconv"
)

// task is what the command line asks: the subject, how many entries, and what else a scenario takes.
type task struct {
	subject string
	n       int
	rest    []string
}

func main() {
	if len(os.Args) < 4 {
		fail("usage: maps SCENARIO SUBJECT N ...")
	}
	prepare, known := scenarios[os.Args[1]]
	if !known {
		fail("unknown scenario " + os.Args[1])
	}
	n := number(os.Args[3])
	if n < 1 {
		fail("not a number of entries: " + os.Args[3])
	}
	drive := prepare(task{os.Args[2], int(n), os.Args[4:]})
	bench := newBench()
	bench.wire.text("ready", "version", runtime.Version())
	bench.wire.wait()
	drive(bench)
	bench.wire.text("done", "", "")
}

func number(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		fail("not a number: " + word)
	}
	return n
}

func fail(why string) {
	os.Stderr.WriteString(why + "\n")
	os.Exit(2)
}
