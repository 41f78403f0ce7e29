package main

import (
	"math/rand"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	offsets = 4095 // a value is a piece of noise that starts at key & offsets
	ticks   = 50   // how often a step reports its progress, between operations
)

// bench runs a scenario's operations, times every single one, and reports each step.
type bench struct {
	wire                             *wire
	noise                            []byte
	value                            value
	memory                           runtime.MemStats
	ground                           uint64 // what the runtime itself holds at the start, which samples do not count
	subject                          subject
	spent                            time.Duration
	slowest                          time.Duration
	asked, expiredReturned, liveLost int
	late                             int64
}

func newBench() *bench {
	b := &bench{wire: newWire(), noise: make([]byte, offsets+valueBytes)}
	rand.New(rand.NewSource(28)).Read(b.noise)
	runtime.GC()
	runtime.ReadMemStats(&b.memory)
	b.ground = b.memory.Alloc
	return b
}

// start is the step "empty": the map is made.
func (b *bench) start(open func() subject) {
	b.step("empty", func() {
		start := time.Now()
		b.subject = open()
		b.spent += time.Since(start)
		b.collect()
	})
}

// step runs one step and reports it; the lab measures the process before and after.
func (b *bench) step(name string, work func()) {
	b.spent, b.slowest = 0, 0
	b.wire.text("begin", "step", name)
	b.wire.wait()
	work()
	runtime.ReadMemStats(&b.memory)
	b.wire.begin("end")
	b.wire.integer("entries", int64(b.subject.entries()))
	b.wire.integer("heap_bytes", int64(b.memory.Alloc))
	b.wire.float("seconds", b.spent.Seconds())
	b.wire.integer("slowest_op_ns", b.slowest.Nanoseconds())
	b.wire.flush()
	b.wire.wait()
}

// collect runs the collector and hands what it found to the system, as the runtime would by itself within minutes.
func (b *bench) collect() {
	start := time.Now()
	debug.FreeOSMemory()
	b.spent += time.Since(start)
}

// operate times a single operation.
func (b *bench) operate(act func()) {
	start := time.Now()
	act()
	took := time.Since(start)
	b.spent += took
	b.took(took)
}

func (b *bench) fill(n int) {
	b.each(0, n, func(from, to int) {
		for key := from; key < to; key++ {
			b.make(key)
			start := time.Now()
			b.subject.put(key, &b.value)
			b.took(time.Since(start))
		}
	})
}

func (b *bench) drain(n int) {
	b.each(0, n, func(from, to int) {
		for key := from; key < to; key++ {
			start := time.Now()
			b.subject.remove(key)
			b.took(time.Since(start))
		}
	})
}

// renew removes each key and puts a fresh value under the one `ahead` of it.
func (b *bench) renew(first, last, ahead int) {
	b.each(first, last, func(from, to int) {
		for oldest := from; oldest < to; oldest++ {
			newest := oldest + ahead
			b.make(newest)
			start := time.Now()
			b.subject.remove(oldest)
			between := time.Now()
			b.subject.put(newest, &b.value)
			b.took(time.Since(between))
			b.took(between.Sub(start))
		}
	})
}

func (b *bench) make(key int) { copy(b.value[:], b.noise[key&offsets:]) }

func (b *bench) took(d time.Duration) {
	if d > b.slowest {
		b.slowest = d
	}
}

// each works through the keys in parts and reports its progress after each part.
func (b *bench) each(first, last int, work func(from, to int)) {
	part := (last - first + ticks - 1) / ticks
	for from := first; from < last; from += part {
		to := from + part
		if to > last {
			to = last
		}
		start := time.Now()
		work(from, to)
		b.spent += time.Since(start)
		b.wire.begin("progress")
		b.wire.float("done", float64(to-first)/float64(last-first))
		b.wire.flush()
	}
}

// phase begins one of that name, of a scenario that is sampled rather than stepped through.
func (b *bench) phase(name string) {
	b.wire.text("begin", "step", name)
	b.wire.wait()
}

// sample lets the lab take a sample; alive is the truth, done the part of the phase that is over.
func (b *bench) sample(held int, t float64, alive int, done float64) {
	runtime.ReadMemStats(&b.memory)
	if b.memory.Alloc < b.ground {
		b.ground = b.memory.Alloc
	}
	b.wire.begin("sample")
	b.wire.float("t", t)
	b.wire.integer("alive", int64(alive))
	b.wire.integer("held", int64(held))
	b.wire.integer("heap_bytes", int64(b.memory.Alloc-b.ground))
	b.wire.float("done", done)
	b.wire.flush()
	b.wire.wait()
}

// finish reports what a sampled scenario came to.
func (b *bench) finish(peakAlive int) {
	b.wire.begin("outcome")
	b.wire.integer("peak_alive", int64(peakAlive))
	b.wire.integer("slowest_op_ns", b.slowest.Nanoseconds())
	b.wire.integer("asked", int64(b.asked))
	b.wire.integer("expired_returned", int64(b.expiredReturned))
	b.wire.integer("live_lost", int64(b.liveLost))
	b.wire.integer("late_ns", b.late)
	b.wire.flush()
	b.wire.wait()
}

// note times one operation of a sampled scenario.
func (b *bench) note(act func()) {
	start := time.Now()
	act()
	b.took(time.Since(start))
}

// newest puts an entry in and takes the n-th before it out.
func (b *bench) newest(key, n int) {
	b.make(key)
	start := time.Now()
	b.subject.put(key, &b.value)
	if key >= n {
		b.subject.remove(key - n)
	}
	b.took(time.Since(start))
}

// probeNewest asks for some of the newest n but for their oldest tenth, and for some of the n before them.
func (b *bench) probeNewest(come, n int) {
	there, gone := come-(n*9+9)/10, come-2*n
	for at, left := there, probes; at < come && left > 0; at, left = at+stride(come-there), left-1 {
		b.asked++
		if !b.subject.has(at) {
			b.liveLost++
		}
	}
	if gone < 0 {
		gone = 0
	}
	for at, left := gone, probes; at < come-n && left > 0; at, left = at+stride(come-n-gone), left-1 {
		b.asked++
		if b.subject.has(at) {
			b.expiredReturned++
		}
	}
}

// stride is how far apart probes are among so many.
func stride(many int) int {
	if many < probes {
		return 1
	}
	return many / probes
}
