package main

// What scenarios do is what ebbmap.lab.scenarios does, by the same names. Each prepares itself before the process is
// measured; what it returns is measured.
var scenarios = map[string]func(task) func(*bench){
	"fill-drain":  withMap(fillDrain),
	"churn":       withMap(churn),
	"last-n":      withMap(lastN),
	"blackfriday": blackfriday,
}

func withMap(drive func(*bench, func() subject, int)) func(task) func(*bench) {
	return func(asked task) func(*bench) {
		open, known := subjects[asked.subject]
		if !known {
			fail("unknown subject " + asked.subject)
		}
		return func(b *bench) { drive(b, open, asked.n) }
	}
}

func fillDrain(b *bench, open func() subject, n int) {
	b.start(open)
	b.step("filled", func() { b.fill(n) })
	b.step("collected", b.collect)
	b.step("drained", func() {
		b.drain(n)
		b.operate(b.subject.maintain)
		b.collect()
	})
}

func churn(b *bench, open func() subject, n int) {
	b.start(open)
	b.step("filled", func() { b.fill(n) })
	b.step("collected", b.collect)
	for turn, name := range []string{"turned-1", "turned-2", "turned-3"} {
		b.step(name, func() {
			b.renew(turn*n, (turn+1)*n, n)
			b.operate(b.subject.maintain)
			b.collect()
		})
	}
}

const (
	turns, least = 5, 100_000
	samples      = 50
	probes       = 32
)

// lastN keeps the newest n entries: for each that comes the oldest goes.
func lastN(b *bench, open func() subject, n int) {
	total := (turns + 1) * n
	if total < least {
		total = least
	}
	b.phase("turning")
	b.subject = open()
	b.sample(b.subject.entries(), 0, 0, 0)
	come := 0
	for place := 0; place <= samples; place++ {
		until := n + (total-n)*place/samples
		for ; come < until; come++ {
			b.newest(come, n)
		}
		b.note(b.subject.maintain)
		b.collect()
		alive := come
		if alive > n {
			alive = n
		}
		b.sample(b.subject.entries(), float64(come)/float64(n), alive, float64(come)/float64(total))
		b.probeNewest(come, n)
	}
	b.finish(n)
}
