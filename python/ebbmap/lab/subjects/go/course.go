package main

import (
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// phase is a part of a run; when it is not touched nobody asks the caches for anything.
type phase struct {
	name       string
	start, end int64
	touched    bool
}

// course is ebbmap.lab.course.Course: what happens when, in nanoseconds from the start.
type course struct {
	window, beat, sample, margin int64
	replayed                     bool
	times, customers             []int64
	distinct                     int
	phases                       []phase
}

func newCourse(words []string) *course {
	if len(words) < 9 {
		fail("usage: maps blackfriday SUBJECT N FILE WINDOW BEAT SAMPLE MARGIN REPLAYED VISITS CUSTOMERS PHASE...")
	}
	c := &course{
		window: number(words[1]), beat: number(words[2]), sample: number(words[3]), margin: number(words[4]),
		replayed: number(words[5]) == 1, distinct: int(number(words[7])),
	}
	visits := int(number(words[6]))
	all := mapped(words[0], 2*visits)
	c.times, c.customers = all[:visits], all[visits:]
	for _, word := range words[8:] {
		part := strings.Split(word, ":")
		c.phases = append(c.phases, phase{part[0], number(part[1]), number(part[2]), part[3] == "1"})
	}
	return c
}

// sweep is the time between two sweeps by hand: three minutes of the hour that the window stands for.
func (c *course) sweep() int64 { return c.window/20 + 1 }

// mapped is the file's numbers, outside of Go's heap, so that the collector does not see them.
func mapped(file string, many int) []int64 {
	source, err := os.Open(file)
	if err != nil {
		fail(err.Error())
	}
	all := block(int(source.Fd()), syscall.MAP_SHARED, many)
	source.Close()
	return all
}

// blank is so many numbers in memory outside of Go's heap.
func blank(many int, fill int64) []int64 {
	all := block(-1, syscall.MAP_PRIVATE|syscall.MAP_ANON, many)
	for at := range all {
		all[at] = fill
	}
	return all
}

var touched int64 // the compiler must not leave the reading out

func block(file, flags, many int) []int64 {
	protection := syscall.PROT_READ
	if file < 0 {
		protection |= syscall.PROT_WRITE
	}
	bytes, err := syscall.Mmap(file, 0, 8*many, protection, flags)
	if err != nil {
		fail("no memory for the visits: " + err.Error())
	}
	all := unsafe.Slice((*int64)(unsafe.Pointer(&bytes[0])), many)
	for _, value := range all {
		touched += value
	}
	return all
}

// truth is ebbmap.lab.truth.Truth: which customers are alive, by the rules alone.
type truth struct {
	*course
	at, last    []int64
	first, come int
	alive, peak int
}

func newTruth(c *course) *truth {
	return &truth{course: c, at: blank(len(c.times), 0), last: blank(c.distinct, -1)}
}

func (t *truth) visit(now int64) {
	t.advance(now)
	who := t.customers[t.come]
	if t.last[who] < int64(t.first) {
		t.alive++
		if t.alive > t.peak {
			t.peak = t.alive
		}
	}
	t.last[who] = int64(t.come)
	t.at[t.come] = now
	t.come++
}

func (t *truth) advance(now int64) {
	for t.first < t.come && t.at[t.first]+t.window <= now {
		if t.last[t.customers[t.first]] == int64(t.first) {
			t.alive--
		}
		t.first++
	}
}

// mustBeThere tells whether the customer was alive for sure when the answer came.
func (t *truth) mustBeThere(who, asked int64) bool {
	return asked < t.at[t.last[who]]+t.window-t.margin
}

// mustBeGone tells whether the customer had expired for sure when the question was put.
func (t *truth) mustBeGone(who, asking int64) bool {
	after := int(t.last[who])
	if !t.replayed {
		after++
	}
	return after < t.come && asking > t.at[after]+t.window+t.margin
}

// clock is the wall's, or that of the log.
type clock struct {
	replayed bool
	start    time.Time
	at       int64
}

func (c *clock) now() int64 {
	if c.replayed {
		return c.at
	}
	return int64(time.Since(c.start))
}

func (c *clock) visit(at int64) {
	if c.replayed {
		c.at = at
	}
}

func (c *clock) wait(until int64) {
	if c.replayed {
		c.at = until
	} else if early := until - c.now(); early > 0 {
		time.Sleep(time.Duration(early))
	}
}
