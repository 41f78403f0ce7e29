package main

import (
	"runtime/debug"
	"time"
)

// replay is ebbmap.lab.replay.Replay: one cache's way through a course.
type replay struct {
	*bench
	*course
	truth                               *truth
	clock                               clock
	cache                               cache
	who                                 customer
	sampleDue, sweepDue, hourDue, gcDue int64
	behind                              int64
}

func blackfriday(asked task) func(*bench) {
	open, known := caches[asked.subject]
	if !known {
		fail("unknown subject " + asked.subject)
	}
	c := newCourse(asked.rest)
	r := &replay{course: c, truth: newTruth(c), sweepDue: c.sweep(), hourDue: c.window}
	return func(b *bench) {
		r.bench, r.cache = b, open()
		r.clock = clock{replayed: c.replayed, start: time.Now()}
		for _, each := range c.phases {
			b.phase(each.name)
			r.through(each)
		}
		b.finish(r.truth.peak)
	}
}

func (r *replay) through(p phase) {
	if behind := r.clock.now() - p.start; behind > r.behind {
		r.behind = behind // a phase that begins late is not cut short: a silence stays one
	}
	for now := p.start; now < p.end; {
		now += r.beat
		if now > p.end {
			now = p.end
		}
		r.serve(now)
		r.clock.wait(now + r.behind)
		if late := r.clock.now() - now; late > r.late {
			r.late = late
		}
		r.keepHouse()
		if now >= r.sampleDue || now == p.end {
			r.sampleDue += r.course.sample
			r.look(p)
		}
	}
}

// serve lets all come who are to come before then.
func (r *replay) serve(until int64) {
	for r.truth.come < len(r.times) && r.times[r.truth.come] < until {
		r.clock.visit(r.times[r.truth.come])
		if r.clock.now() >= r.sweepDue {
			r.keepHouse()
		}
		r.comes(r.customers[r.truth.come])
	}
}

func (r *replay) comes(who int64) {
	now := r.clock.now()
	r.truth.visit(now)
	r.who.deadline = now + r.window
	copy(r.who.rest[:], r.noise[who&offsets:])
	start := time.Now()
	r.cache.put(int(who), &r.who)
	r.took(time.Since(start))
}

// collections is how often the collector runs in a window: every six minutes of the hour, as the runtime does by
// itself within minutes, whether customers come or not.
const collections = 10

// keepHouse does what a program does every few minutes of the hour, and every hour; and it runs the collector, which hands
// what is free to the system.
func (r *replay) keepHouse() {
	now := r.clock.now()
	if now >= r.sweepDue {
		r.sweepDue = now + r.sweep()
		r.note(func() { r.cache.sweep(now) })
	}
	if now >= r.hourDue {
		r.hourDue = now + r.window
		r.note(r.cache.recreate)
	}
	if now >= r.gcDue {
		r.gcDue = now + r.window/collections
		if !r.replayed {
			debug.FreeOSMemory()
		}
	}
}

func (r *replay) look(p phase) {
	now := r.clock.now()
	if r.replayed { // much time may pass between two rows
		r.note(func() { r.cache.sweep(now) })
		debug.FreeOSMemory()
	}
	r.truth.advance(now)
	done := 1.0
	if now-r.behind < p.end {
		done = float64(now-r.behind-p.start) / float64(p.end-p.start)
	}
	r.bench.sample(r.cache.held(), float64(now)/1e9, r.truth.alive, done)
	if p.touched {
		r.probe()
	}
}

// probe asks for entries that are there for sure, and for some that can't be.
func (r *replay) probe() {
	t := r.truth
	many := t.come - t.first
	for at, left := t.first, probes; at < t.come && left > 0; at, left = at+stride(many), left-1 {
		who := t.customers[at]
		alive, right := r.get(who)
		if t.mustBeThere(who, r.clock.now()) {
			r.asked++
			if !alive || !right {
				r.liveLost++
			}
		}
	}
	if many < 10*probes {
		many = 10 * probes
	}
	from := t.first - many
	if from < 0 {
		from = 0
	}
	for at, left := from, probes; at < t.first && left > 0; at, left = at+stride(t.first-from), left-1 {
		who, asking := t.customers[at], r.clock.now()
		alive, _ := r.get(who)
		if t.mustBeGone(who, asking) {
			r.asked++
			if alive {
				r.expiredReturned++
			}
		}
	}
}

// get asks for a customer: whether it is alive, and whether what came is what was put.
func (r *replay) get(who int64) (alive, right bool) {
	start := time.Now()
	rest, alive := r.cache.get(int(who), r.clock.now())
	r.took(time.Since(start))
	copy(r.who.rest[:], r.noise[who&offsets:])
	return alive, rest == r.who.rest
}
