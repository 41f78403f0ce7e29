// Command probe fills, drains and churns a map of a given type and prints, after each step, what MemStats says the
// heap has grown by and what the runtime's own map header says.
//
//	probe -n 1000,2000 -turnovers 2,20 'map[int64]int64'
//
// It prints one JSON object a line. `-list` prints the types it was built for.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
)

type step struct {
	Type        string  `json:"type"`
	Go          string  `json:"go"`
	N           int     `json:"n"`
	Step        string  `json:"step"`
	Entries     int     `json:"entries"`
	Uncollected int64   `json:"uncollected"`
	Alloc       int64   `json:"alloc"`
	Turnovers   float64 `json:"turnovers,omitempty"`
	header
}

// header is what a live map says of itself: B, noverflow, overflow (counted) and growing up to Go 1.23,
// tables, depth and slots from 1.24.
type header struct {
	B         int  `json:"B"`
	Noverflow int  `json:"noverflow"`
	Overflow  int  `json:"overflow"`
	Growing   bool `json:"growing"`
	Tables    int  `json:"tables"`
	Depth     int  `json:"depth"`
	Slots     int  `json:"slots"`
}

var held any

type options struct {
	sizes     []int
	turnovers []float64
	left      int
	hint      bool
	repeat    int
}

func alloc() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Alloc)
}

// collected is what lives: sync.Pool, where the encoder keeps its buffers, is empty only after a second collection.
func collected() int64 {
	runtime.GC()
	runtime.GC()
	return alloc()
}

// startThreads has the runtime start more threads than it will need at once. Each is some kilobytes of the heap for
// good (2 up to Go 1.21, 5 from 1.23), and would else be started, and counted, while some map is measured.
func startThreads() {
	threads := runtime.GOMAXPROCS(0) + 4
	var locked, ended sync.WaitGroup
	locked.Add(threads)
	ended.Add(threads)
	for i := 0; i < threads; i++ {
		go func() {
			runtime.LockOSThread()
			locked.Done()
			locked.Wait()
			runtime.UnlockOSThread() // the thread stays, idle
			ended.Done()
		}()
	}
	ended.Wait()
}

// run measures one map type; key and elem make the i-th key and element.
func run[K comparable, V any](name string, key func(int) K, elem func(int) V, o options) {
	fill(name, key, elem, o, 10, io.Discard) // what the runtime and the encoder keep for good, they take now
	for _, n := range o.sizes {
		for i := 0; i < o.repeat; i++ {
			fill(name, key, elem, o, n, os.Stdout)
		}
	}
}

func fill[K comparable, V any](name string, key func(int) K, elem func(int) V, o options, n int, w io.Writer) {
	out := json.NewEncoder(w)
	before := collected()
	report := func(what string, m map[K]V, turnovers float64) {
		uncollected := alloc() - before
		s := step{name, runtime.Version(), n, what, len(m), uncollected, collected() - before, turnovers, read(m)}
		if err := out.Encode(s); err != nil {
			panic(err)
		}
	}
	hint := 0
	if o.hint {
		hint = n
	}
	m := make(map[K]V, hint)
	held = m // on the heap, header and all
	report("empty", m, 0)
	for i := 0; i < n; i++ {
		m[key(i)] = elem(i)
	}
	report("filled", m, 0)
	oldest, newest := 0, n
	for _, turnovers := range o.turnovers {
		for ; newest < n+int(float64(n)*turnovers); newest, oldest = newest+1, oldest+1 {
			delete(m, key(oldest))
			m[key(newest)] = elem(newest)
		}
		report("churned", m, turnovers)
	}
	for ; len(m) > o.left; oldest++ {
		delete(m, key(oldest))
	}
	report("drained", m, 0)
	held = nil
}

func sizes(text string) []int {
	var all []int
	for _, part := range strings.Split(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil {
			fail("not a number of entries: " + part)
		}
		all = append(all, n)
	}
	return all
}

func turnovers(text string) []float64 {
	var all []float64
	for _, part := range strings.Split(text, ",") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			fail("not a number of turnovers: " + part)
		}
		if n > 0 {
			all = append(all, n)
		}
	}
	return all
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "probe: "+message)
	os.Exit(2)
}

func main() {
	n := flag.String("n", "1000", "numbers of entries, separated by commas")
	churn := flag.String("turnovers", "0", "after filling, delete the oldest and insert a new one this many times n;\nseveral, ascending and separated by commas: report after each")
	left := flag.Int("left", 0, "entries to leave when draining")
	hint := flag.Bool("hint", false, "make the map with n as its hint")
	repeat := flag.Int("repeat", 1, "how often to measure each (hashes differ from map to map)")
	list := flag.Bool("list", false, "print the map types and exit")
	flag.Parse()
	if *list {
		names := make([]string, 0, len(kinds))
		for name := range kinds {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	debug.SetGCPercent(100)
	startThreads()
	o := options{sizes(*n), turnovers(*churn), *left, *hint, *repeat}
	for _, name := range flag.Args() {
		measure, ok := kinds[name]
		if !ok {
			fail("unknown type " + name + "; see -list")
		}
		measure(name, o)
	}
}
