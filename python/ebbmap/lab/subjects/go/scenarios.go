package main

// The steps are those of ebbmap.lab.scenarios, by the same names.
var scenarios = map[string]func(*bench, func() subject, int){
	"fill-drain": fillDrain,
	"churn":      churn,
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
