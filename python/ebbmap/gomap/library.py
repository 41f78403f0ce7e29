"""The standard library's types that are common in maps, by what they are made of (64-bit).

Only what a map needs is told: sizes, comparison and pointers. Fields may be merged or have other names.
`tests/gomap/test_probe.py` compares them with the compiler's own sizes.
"""

from __future__ import annotations

_INTERFACES = (
    *("fmt.Stringer", "fmt.Formatter", "io.Reader", "io.Writer", "io.Closer", "io.ReadCloser", "io.Seeker"),
    *("io.ReadWriter", "io.ReadWriteCloser", "io.ReadSeeker", "io.WriteCloser", "io.ReaderAt", "io.WriterTo"),
    *("context.Context", "net.Addr", "net.Conn", "net.Listener", "net.Error", "net.PacketConn"),
    *("http.Handler", "http.ResponseWriter", "http.RoundTripper", "http.FileSystem", "os.Signal"),
    *("fs.FS", "fs.File", "fs.FileInfo", "fs.DirEntry", "os.FileInfo", "hash.Hash", "hash.Hash32"),
    *("hash.Hash64", "sort.Interface", "heap.Interface", "sync.Locker", "json.Marshaler", "json.Unmarshaler"),
    *("encoding.TextMarshaler", "encoding.TextUnmarshaler", "driver.Value", "driver.Valuer", "sql.Scanner"),
    *("crypto.PublicKey", "crypto.PrivateKey", "crypto.Signer", "slog.Handler", "ast.Node", "ast.Expr"),
    *("image.Image", "color.Color", "flag.Value", "rand.Source"),
)

LIBRARY: dict[str, str] = {
    **dict.fromkeys(_INTERFACES, "interface{}"),
    "atomic.Bool": "struct{_ struct{}; v uint32}",
    "atomic.Int32": "struct{_ struct{}; v int32}",
    "atomic.Int64": "struct{_ struct{}; v int64}",
    "atomic.Uint32": "struct{_ struct{}; v uint32}",
    "atomic.Uint64": "struct{_ struct{}; v uint64}",
    "atomic.Uintptr": "struct{_ struct{}; v uintptr}",
    "atomic.Value": "struct{v any}",
    "big.Int": "struct{neg bool; abs []uint}",
    "big.Rat": "struct{a, b big.Int}",
    "bytes.Buffer": "struct{buf []byte; off int; lastRead int8}",
    "color.RGBA": "struct{R, G, B, A uint8}",
    "context.CancelFunc": "func()",
    "fs.FileMode": "uint32",
    "http.HandlerFunc": "func()",
    "http.Header": "map[string][]string",
    "image.Point": "struct{X, Y int}",
    "image.Rectangle": "struct{Min, Max image.Point}",
    "json.Number": "string",
    "json.RawMessage": "[]byte",
    "net.HardwareAddr": "[]byte",
    "net.IP": "[]byte",
    "net.IPAddr": "struct{IP net.IP; Zone string}",
    "net.IPMask": "[]byte",
    "net.IPNet": "struct{IP net.IP; Mask net.IPMask}",
    "net.TCPAddr": "struct{IP net.IP; Port int; Zone string}",
    "net.UDPAddr": "struct{IP net.IP; Port int; Zone string}",
    "netip.AddrPort": "struct{ip netip.Addr; port uint16}",
    "netip.Prefix": "struct{ip netip.Addr; bits uint8}",
    "os.FileMode": "uint32",
    "reflect.Kind": "uint",
    "slog.Level": "int",
    "sql.NullBool": "struct{Bool, Valid bool}",
    "sql.NullByte": "struct{Byte byte; Valid bool}",
    "sql.NullFloat64": "struct{Float64 float64; Valid bool}",
    "sql.NullInt16": "struct{Int16 int16; Valid bool}",
    "sql.NullInt32": "struct{Int32 int32; Valid bool}",
    "sql.NullInt64": "struct{Int64 int64; Valid bool}",
    "sql.NullString": "struct{String string; Valid bool}",
    "sql.NullTime": "struct{Time time.Time; Valid bool}",
    "sql.RawBytes": "[]byte",
    "strings.Builder": "struct{addr uintptr; buf []byte}",
    "strings.Reader": "struct{s string; i int64; prevRune int}",
    "sync.Mutex": "struct{_ struct{}; state int32; sema uint32}",
    "sync.Once": "struct{_ struct{}; done uint32; m sync.Mutex}",
    "sync.RWMutex": "struct{w sync.Mutex; writerSem, readerSem uint32; readerCount, readerWait int32}",
    "sync.WaitGroup": "struct{_ struct{}; state uint64; sema uint32}",
    "syscall.Errno": "uintptr",
    "syscall.Signal": "int",
    "template.HTML": "string",
    "time.Duration": "int64",
    "time.Month": "int",
    "time.Weekday": "int",
    "token.Pos": "int",
    "url.Values": "map[string][]string",
    "uuid.NullUUID": "struct{UUID uuid.UUID; Valid bool}",
    "uuid.UUID": "[16]byte",
}
"""Names and what they stand for; sizes are the same from Go 1.23 to 1.27."""

GENERIC: dict[str, tuple[tuple[str, ...], str]] = {
    "atomic.Pointer": (("T",), "struct{_ [0]*byte; _ struct{}; v *T}"),
    "sql.Null": (("T",), "struct{V T; Valid bool}"),
    "unique.Handle": (("T",), "struct{value *T}"),
    "weak.Pointer": (("T",), "struct{_ [0]*byte; u unsafe.Pointer}"),
}
"""Names, their type parameters and what they stand for."""
