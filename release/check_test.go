package release_test

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/release"
)

// header makes the beginning of an ELF file.
func header(class, data byte, kind, machine uint16) []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF")
	h[4], h[5], h[6] = class, data, 1
	var order binary.ByteOrder = binary.LittleEndian
	if data == 2 {
		order = binary.BigEndian
	}
	order.PutUint16(h[16:], kind)
	order.PutUint16(h[18:], machine)
	return h
}

func TestCheckHeader(t *testing.T) {
	t.Parallel()
	const x86, arm32, arm64, ppc, s390, mips = 62, 40, 183, 21, 22, 8
	for _, test := range []struct {
		name    string
		content []byte
		arch    string
		problem string // "": fits
	}{
		{"arm", header(1, 1, 2, arm32), "arm", ""},
		{"ppc64le", header(2, 1, 2, ppc), "ppc64le", ""},
		{"s390x", header(2, 2, 2, s390), "s390x", ""},
		{"position independent", header(2, 2, 3, s390), "s390x", ""},
		{"ppc64 of the other byte order", header(2, 2, 2, ppc), "ppc64le", "EM_PPC64"},
		{"other arch", header(2, 1, 2, x86), "s390x", "it is a program for amd64, want one for s390x"},
		{"arm64 for arm", header(2, 1, 2, arm64), "arm", "it is a program for arm64, want one for arm"},
		{"unknown machine", header(1, 2, 2, mips), "s390x", "EM_MIPS"},
		{"object file", header(2, 2, 1, s390), "s390x", "it is a part of a program"},
		{"cut off", header(2, 2, 2, s390)[:10], "s390x", "ends within its header"},
		{"empty", nil, "s390x", "it is an empty file"},
		{"html", []byte("\n <!doctype HTML><p>login"), "s390x", "it is an HTML page"},
		{"xml", []byte("<?xml version='1.0' encoding='UTF-8'?><Error>"), "s390x", "it is an XML page"},
		{"script", []byte("#!/bin/sh\n"), "s390x", "it is a script"},
		{"gzip", []byte("\x1f\x8b\x08\x00"), "s390x", "it is a gzip archive"},
		{"zip", []byte("PK\x03\x04"), "s390x", "it is a zip archive"},
		{"json", []byte(`{"error":"no"}`), "s390x", "it is a JSON document"},
		{"text", []byte("not found"), "s390x", "it is text"},
		{"something else", []byte{1, 2, 3}, "s390x", "it is some other binary file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.arch == runtime.GOARCH {
				t.Skip("a header alone does not run")
			}
			path := filepath.Join(t.TempDir(), "kubelet")
			write(t, path, test.content, 0o600)
			err := release.Check(t.Context(), path, test.arch, version(t, tabled))
			wrong := (*release.VerifyError)(nil)
			if test.problem == "" {
				if err != nil {
					t.Error(err)
				}
			} else if !errors.As(err, &wrong) {
				t.Errorf("got %v", err)
			} else {
				contains(t, err.Error(), path, test.problem)
			}
		})
	}
	if err := release.Check(t.Context(), program, "riscv64", version(t, tabled)); err == nil {
		t.Error("an unknown architecture is accepted")
	}
	if err := release.Check(t.Context(), "/does/not/exist", "amd64", version(t, tabled)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file string
		mode       os.FileMode
		verify     string
		problem    string
	}{
		{"right", "kubelet-v1.36.3", 0o700, "", ""},
		{"other patch", "kubelet-v1.36.30", 0o700, `"Kubernetes v1.36.30", want "Kubernetes v1.36.3"`, ""},
		{"vendor build", "kubelet-v1.36.3-eks-1", 0o700, "v1.36.3-eks-1", ""},
		{"no version", "program", 0o700, "want", ""},
		{"fails", "kubelet-fails", 0o700, "exit status 2: panic: no such thing", ""},
		{"not executable", "kubelet-v1.36.3", 0o600, "", "permission denied"},
		{"hangs", "kubelet-hangs", 0o700, "", "interrupted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), test.file)
			if err := os.Link(program, path); err != nil || test.mode != 0o700 {
				os.Remove(path)
				content, _ := os.ReadFile(program)
				write(t, path, content, test.mode)
			}
			ctx := t.Context()
			if test.name == "hangs" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			err := release.Check(ctx, path, runtime.GOARCH, version(t, tabled))
			wrong := (*release.VerifyError)(nil)
			switch {
			case test.verify != "":
				if !errors.As(err, &wrong) {
					t.Fatalf("got %v", err)
				}
				contains(t, err.Error(), test.verify)
			case test.problem != "":
				if err == nil || errors.As(err, &wrong) {
					t.Fatalf("got %v", err)
				}
				contains(t, err.Error(), test.problem)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// A file that is open for writing somewhere cannot be executed at that moment.
// dynamic makes a program for this architecture that names a loader, and that only its headers are there of.
func dynamic(t *testing.T, loader string) []byte {
	t.Helper()
	own, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if own.Class != elf.ELFCLASS64 {
		t.Skip("this machine's programs have headers of 32 bits")
	}
	h := header(byte(own.Class), byte(own.Data), uint16(elf.ET_EXEC), uint16(own.Machine))
	order := own.ByteOrder
	order.PutUint32(h[20:], 1)
	order.PutUint64(h[32:], 64) // the program headers come next
	order.PutUint16(h[52:], 64)
	order.PutUint16(h[54:], 56)
	order.PutUint16(h[56:], 1)
	segment := make([]byte, 56)
	order.PutUint32(segment, uint32(elf.PT_INTERP))
	order.PutUint64(segment[8:], 64+56)
	order.PutUint64(segment[32:], uint64(len(loader)+1))
	return slices.Concat(h, segment, []byte(loader), []byte{0})
}

func TestCheckLoader(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, loader, problem string
		verify                bool
	}{
		{"its loader is not here", "/lib/ld-of-another-libc.so.2", "its loader /lib/ld-of-another-libc.so.2: no such file or directory", false},
		{"its loader is here", "/bin/sh", "it does not answer --version", true}, // it is no program, but that is another problem
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "kubelet")
			write(t, path, dynamic(t, test.loader), 0o700)
			err := release.Check(t.Context(), path, runtime.GOARCH, version(t, tabled))
			if err == nil {
				t.Fatal("accepted")
			}
			contains(t, err.Error(), test.problem)
			if wrong := (*release.VerifyError)(nil); errors.As(err, &wrong) != test.verify {
				t.Errorf("%T: %v", err, err)
			}
			var hint interface{ Hint() string }
			if !test.verify && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), "glibc")) {
				t.Error("nothing says what to do")
			}
		})
	}
	path := filepath.Join(t.TempDir(), "kubelet")
	damaged := dynamic(t, "/bin/sh")
	write(t, path, damaged[:64], 0o700)
	if err := release.Check(t.Context(), path, runtime.GOARCH, version(t, tabled)); err == nil || !strings.Contains(err.Error(), "its headers are damaged") {
		t.Errorf("a file that ends in its headers: %v", err)
	}
}

func TestCheckBusy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kubelet-v1.36.3")
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, content, 0o700)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { f.Close() })
	if err := release.Check(t.Context(), path, runtime.GOARCH, version(t, tabled)); err != nil {
		t.Errorf("got %v (busy: %v)", err, errors.Is(err, syscall.ETXTBSY))
	}
}
