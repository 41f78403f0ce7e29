package main

import (
	"os"
	"strconv"
)

// wire writes one JSON object a line; its buffer is made once and reused.
type wire struct {
	line   []byte
	answer [1]byte
}

func newWire() *wire { return &wire{line: make([]byte, 0, 512)} }

// text sends an event with at most one field; names and values need no escaping.
func (w *wire) text(event, name, value string) {
	w.begin(event)
	if name != "" {
		w.name(name)
		w.line = append(append(append(w.line, '"'), value...), '"')
	}
	w.flush()
}

func (w *wire) begin(event string) {
	w.line = append(w.line[:0], `{"event":"`...)
	w.line = append(append(w.line, event...), '"')
}

func (w *wire) name(name string) {
	w.line = append(append(append(w.line, `,"`...), name...), `":`...)
}

func (w *wire) integer(name string, value int64) {
	w.name(name)
	w.line = strconv.AppendInt(w.line, value, 10)
}

func (w *wire) float(name string, value float64) {
	w.name(name)
	w.line = strconv.AppendFloat(w.line, value, 'g', -1, 64)
}

func (w *wire) flush() {
	w.line = append(w.line, "}\n"...)
	os.Stdout.Write(w.line)
}

// wait returns when the lab has answered, and ends the process if the lab is gone.
func (w *wire) wait() {
	if read, _ := os.Stdin.Read(w.answer[:]); read == 0 {
		os.Exit(1)
	}
}
