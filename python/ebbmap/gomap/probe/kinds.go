package main

import (
	"encoding/binary"
	"unsafe"
)

type padded struct {
	A int8
	B int64
	C int8
}

type wrapped struct {
	A string
}

// Customer is a type that the predictor is not told.
type Customer struct {
	A [9]int64
}

type mixed struct {
	A int32
	B string
	C *int64
}

// write puts i into the first bytes of b, so that each i makes another key.
func write(b []byte, i int) {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], uint64(i))
	copy(b, word[:])
}

func text(i int) string {
	var b [16]byte
	write(b[:], i)
	return string(b[:])
}

// arena is what pointers that are keys point into; it outlives every map.
var arena [1 << 22]byte

func number(i int) int64     { return int64(i) }
func word(i int) uint32      { return uint32(i) }
func fraction(i int) float64 { return float64(i) }
func place(i int) *struct{}  { return (*struct{})(unsafe.Pointer(&arena[i%len(arena)])) }
func pair(i int) [2]uint32   { return [2]uint32{uint32(i), 7} }
func wrap(i int) wrapped     { return wrapped{text(i)} }
func boxed(i int) any        { return i + 256 } // a smaller one would lie in a table of the runtime's
func known(int) *Customer    { return new(Customer) }
func inner(i int) map[string]int64 {
	m := make(map[string]int64)
	for k := 0; k < 5; k++ {
		m[text(8*i+k)] = int64(k)
	}
	return m
}
func yes(int) bool             { return true }
func k20(i int) (b [20]byte)   { write(b[:], i); return }
func short(i int) uint16       { return uint16(i) }
func nothing(int) struct{}     { return struct{}{} }
func pad(i int) padded         { return padded{1, int64(i), 2} }
func mix(i int) mixed          { return mixed{1, text(i), new(int64)} }
func tiny(int) *int64          { return new(int64) }
func pointer(int) *[128]byte   { return new([128]byte) }
func e1(int) (b [1]byte)       { return }
func e16(int) (b [16]byte)     { return }
func e24(int) (b [24]byte)     { return }
func e64(int) (b [64]byte)     { return }
func e127(int) (b [127]byte)   { return }
func e128(int) (b [128]byte)   { return }
func e129(int) (b [129]byte)   { return }
func e200(int) (b [200]byte)   { return }
func k16(i int) (b [16]byte)   { write(b[:], i); return }
func k24(i int) (b [24]byte)   { write(b[:], i); return }
func k64(i int) (b [64]byte)   { write(b[:], i); return }
func k127(i int) (b [127]byte) { write(b[:], i); return }
func k128(i int) (b [128]byte) { write(b[:], i); return }
func k129(i int) (b [129]byte) { write(b[:], i); return }
func k200(i int) (b [200]byte) { write(b[:], i); return }

func pointers(int) (p [20]*int64) {
	for i := range p {
		p[i] = new(int64)
	}
	return
}

func few(int) (p [12]*int64) {
	for i := range p {
		p[i] = new(int64)
	}
	return
}

type measure func(name string, o options)

// of binds a map type to its measurement.
func of[K comparable, V any](key func(int) K, elem func(int) V) measure {
	return func(name string, o options) { run(name, key, elem, o) }
}

var kinds = map[string]measure{
	"map[uint16]int64":            of(short, number),
	"map[int64]struct{}":          of(number, nothing),
	"map[int64][1]byte":           of(number, e1),
	"map[int64]int64":             of(number, number),
	"map[int64][16]byte":          of(number, e16),
	"map[int64][24]byte":          of(number, e24),
	"map[int64][64]byte":          of(number, e64),
	"map[int64][127]byte":         of(number, e127),
	"map[int64][128]byte":         of(number, e128),
	"map[int64][129]byte":         of(number, e129),
	"map[int64][200]byte":         of(number, e200),
	"map[int64]*int64":            of(number, tiny),
	"map[int64]*[128]byte":        of(number, pointer),
	"map[int64][12]*int64":        of(number, few),
	"map[int64][20]*int64":        of(number, pointers),
	"map[int64]string":            of(number, text),
	"map[string]int64":            of(text, number),
	"map[string]string":           of(text, text),
	"map[int64]any":               of(number, boxed),
	"map[string]map[string]int64": of(text, inner),
	"map[int64]*Customer":         of(number, known),
	"map[uint32]int64":            of(word, number),
	"map[float64]int64":           of(fraction, number),
	"map[*struct{}]int64":         of(place, number),
	"map[[2]uint32]int64":         of(pair, number),
	"map[struct{A string}]int64":  of(wrap, number),
	"map[[20]byte]bool":           of(k20, yes),
	"map[[16]byte]int64":          of(k16, number),
	"map[[24]byte][24]byte":       of(k24, e24),
	"map[[64]byte][64]byte":       of(k64, e64),
	"map[[127]byte][1]byte":       of(k127, e1),
	"map[[128]byte][128]byte":     of(k128, e128),
	"map[[129]byte]int64":         of(k129, number),
	"map[[200]byte][200]byte":     of(k200, e200),
	"map[struct{A int8; B int64; C int8}]struct{A int32; B string; C *int64}": of(pad, mix),
}
