package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// line is a unit with one command; what is before it in a case stands in the same file.
func line(args string) string {
	return "[Service]\nExecStart=/usr/local/bin/kubelet " + args + "\n"
}

const someVariables = `[Service]
Environment=FOO=foo "LIST=a 'b c' d" EMPTY= _1=under
`

// realCases are facts: want is the argv, from its second word on, that a program got from systemd 252 (252.39-1~deb12u2
// of Debian 12) started by this very unit; nil where systemd refused the unit or could not start it. The host was called
// sysparse.
var realCases = []struct {
	name, unit string
	files      map[string]string
	want       []string
}{
	// Words and quotes
	{"plain", line(`--v=2 --a b`), nil, []string{"--v=2", "--a", "b"}},
	{"many blanks", line("  a \t  b\t"), nil, []string{"a", "b"}},
	{"quotes around", line(`"a b" 'c d'`), nil, []string{"a b", "c d"}},
	{"quotes inside a word", line(`a"b c"d'e  f'g`), nil, []string{"ab cde  fg"}},
	{"quotes after an equals sign", line(`--labels="a=b c" --x='y z'`), nil, []string{"--labels=a=b c", "--x=y z"}},
	{"the other quotes inside", line(`"it's" 'say "x"'`), nil, []string{"it's", `say "x"`}},
	{"empty words", line(`"" '' x`), nil, []string{"", "", "x"}},
	{"quotes side by side", line(`"a"'b'"c"`), nil, []string{"abc"}},
	{"never closed", line(`"a b`), nil, nil},
	{"never closed inside a word", line(`a it's`), nil, nil},
	{"not ASCII", line(`--ü=ñ "日 本"`), nil, []string{"--ü=ñ", "日 本"}},
	{"no-break space and vertical tab are no blanks", line("a\u00a0b c\vd"), nil, []string{"a\u00a0b", "c\vd"}},

	// Escapes
	{"hexadecimal", line(`\x41 a\x20b "\x41"`), nil, []string{"A", "a b", "A"}},
	{"blanks", line(`a\sb \t "\n" '\t'`), nil, []string{"a b", "\t", "\n", "\t"}},
	{"octal", line(`\101 \1012`), nil, []string{"A", "A2"}},
	{"Unicode", line(`\u00fc \U0001F600`), nil, []string{"ü", "😀"}},
	{"one half of a surrogate pair", line(`\ud800 x`), nil, []string{"\xed\xa0\x80", "x"}},
	{"a byte above ASCII", line(`\xc3\xbc \xff`), nil, []string{"ü", "\xff"}},
	{"the rest", line(`\a\b\f\n\r\v \\ \" \'`), nil, []string{"\a\b\f\n\r\v", `\`, `"`, "'"}},
	{"unknown", line(`a\qb \d+ "\."`), nil, []string{`a\qb`, `\d+`, `\.`}},
	{"unknown among known", line(`\x41\q\x42`), nil, []string{`A\qB`}},
	{"no NUL", line(`\x00 \000 \u0000`), nil, []string{`\x00`, `\000`, `\u0000`}},
	{"too short", line(`\x4 \u41 \U41 \18`), nil, []string{`\x4`, `\u41`, `\U41`, `\18`}},
	{"octal above a byte", line(`\400 x`), nil, []string{`\400`, "x"}},
	{"beyond Unicode", line(`\U00110000 \U0000d800 \U0000ffff`), nil, []string{`\U00110000`, `\U0000d800`, `\U0000ffff`}},
	{"blank", line(`a\ b`), nil, []string{`a\ b`}},
	{"quote that stays open behind an escape", line(`"a\"`), nil, nil},
	{"backslash and blanks at the end", "[Service]\nExecStart=/usr/local/bin/kubelet a \\  \nRestart=no\n", nil, []string{"a", `\`}},
	{"two backslashes at the end", "[Service]\nExecStart=/usr/local/bin/kubelet a \\\\\nRestart=no\n", nil, []string{"a", `\`}},

	// Semicolons
	{"semicolon inside a word", line(`a;b ;c d;`), nil, []string{"a;b", ";c", "d;"}},
	{"escaped semicolon", line(`a \; b`), nil, []string{"a", ";", "b"}},
	{"quoted semicolon", line(`a ";" ';' b`), nil, []string{"a", ";", ";", "b"}},
	{"escaped semicolon with more", line(`\;a b\; \\;`), nil, []string{`\;a`, `b\;`, `\;`}},
	{"semicolon at the end", line(`a ;`), nil, []string{"a"}},
	{"semicolon as hexadecimal", line(`a \x3b b`), nil, []string{"a", ";", "b"}},

	// Lines
	{"continued", line("a \\\n   b \\\n\tc"), nil, []string{"a", "b", "c"}},
	{"continued inside a word", line("a\\\nb"), nil, []string{"a", "b"}},
	{"continued inside quotes", line("\"a\\\n  b\""), nil, []string{"a   b"}},
	{"comments between", line("a \\\n# one\\\n  ; two\n  b"), nil, []string{"a", "b"}},
	{"argument that looks like a comment", line("a \\\n  #b \\\n  c"), nil, []string{"a", "c"}},
	{"number sign inside a line", line(`a #b c`), nil, []string{"a", "#b", "c"}},
	{"empty line after a continuation", line("a \\\n\nb"), nil, []string{"a"}},
	{"continued at the end of the file", "[Service]\nExecStart=/usr/local/bin/kubelet a \\", nil, []string{"a"}},
	{"continued over the next setting", "[Service]\nExecStart=/usr/local/bin/kubelet a \\\nRestart=no\n", nil, []string{"a", "Restart=no"}},
	{"no newline at the end", "[Service]\nExecStart=/usr/local/bin/kubelet a", nil, []string{"a"}},
	{"continued before the key", "[Service]\n  \\\n ExecStart = /usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"CRLF", "[Service]\r\nExecStart=/usr/local/bin/kubelet a \\\r\n  b\r\n", nil, []string{"a", "b"}},
	{"CR", "[Service]\rExecStart=/usr/local/bin/kubelet a \\\r  b\r", nil, []string{"a", "b"}},
	{"LFCR", "[Service]\n\rExecStart=/usr/local/bin/kubelet a \\\n\r  b\n\r", nil, []string{"a", "b"}},
	{"NUL ends a line", "[Service]\x00ExecStart=/usr/local/bin/kubelet a\x00Restart=no\n", nil, []string{"a"}},
	{"byte order mark", "\ufeff[Service]\nExecStart=/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"byte order mark before a comment", "\ufeff# c\n[Service]\nExecStart=/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"byte order mark later", "[Service]\n\ufeffExecStart=/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"two byte order marks", "\ufeff[Service]\nExecStart=/usr/local/bin/kubelet a\n\ufeffExecStart=\n", nil, []string{"a"}},
	{"a line that is not UTF-8", line("a") + "ExecStart=\xff\n", nil, []string{"a"}},
	{"a line with a noncharacter", line("a") + "ExecStart=\uffff\n", nil, []string{"a"}},
	{"escaped at the end of quotes", line(`"a\\" b`), nil, []string{`a\`, "b"}},
	{"no section", "ExecStart=/usr/local/bin/kubelet a\n" + line("b"), nil, []string{"b"}},
	{"no equals sign", "[Service]\nExecStart\n" + line("b"), nil, []string{"b"}},
	{"no key", "[Service]\n=x\n" + line("b"), nil, []string{"b"}},
	{"section never closed", "[Service\n" + line("b"), nil, nil},
	{"section never closed, below", line("b") + "[Install\n", nil, nil},
	{"section with a quote", line("b") + "[Inst\"all]\n", nil, nil},
	{"section of nobody", line("b") + "[Other]\nExecStart=/bin/x\n", nil, []string{"b"}},
	{"blanks inside a header", "[ Service ]\nExecStart=/bin/x\n" + line("b"), nil, []string{"b"}},
	{"section twice", line("b") + "[Unit]\nDescription=x\n[Service]\nRestart=no\n", nil, []string{"b"}},

	// The program
	{"minus", "[Service]\nExecStart=-/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"plus", "[Service]\nExecStart=+/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"exclamation mark", "[Service]\nExecStart=!/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"two exclamation marks", "[Service]\nExecStart=!!/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"three exclamation marks", "[Service]\nExecStart=!!!/usr/local/bin/kubelet a\n", nil, nil},
	{"plus and exclamation mark", "[Service]\nExecStart=+!/usr/local/bin/kubelet a\n", nil, nil},
	{"minus twice", "[Service]\nExecStart=--/usr/local/bin/kubelet a\n", nil, nil},
	{"another name", "[Service]\nExecStart=@/usr/local/bin/kubelet name a\n", nil, []string{"a"}},
	{"another name is missing", "[Service]\nExecStart=@/usr/local/bin/kubelet\n", nil, nil},
	{"another name is empty", "[Service]\nExecStart=@/usr/local/bin/kubelet \"\" a\n", nil, nil},
	{"another name of many words", someVariables + "ExecStart=@/usr/local/bin/kubelet $LIST x\n", nil, []string{"b c", "d", "x"}},
	{"another name of no words", someVariables + "ExecStart=@/usr/local/bin/kubelet $UNSET x y\n", nil, []string{"y"}},
	{"all prefixes", someVariables + "ExecStart=-:@/usr/local/bin/kubelet name $FOO\n", nil, []string{"$FOO"}},
	{"quoted", "[Service]\nExecStart=\"/usr/local/bin/kubelet\" a\n", nil, []string{"a"}},
	{"quoted with the prefix", "[Service]\nExecStart=\"-/usr/local/bin/ku be\" a\n", nil, []string{"a"}},
	{"blank in the path", "[Service]\nExecStart=/usr/local/bin/ku\\x20be a\n", nil, []string{"a"}},
	{"not ASCII in the path", "[Service]\nExecStart=/usr/local/bin/käse a\n", nil, []string{"a"}},
	{"superfluous slashes", "[Service]\nExecStart=//usr/./local//bin/kubelet a\n", nil, []string{"a"}},
	{"plain name", "[Service]\nExecStart=kubelet a\n", nil, []string{"a"}},
	{"relative path", "[Service]\nExecStart=bin/kubelet a\n", nil, nil},
	{"variable in the path", "[Service]\nEnvironment=BIN=/usr/local/bin\nExecStart=${BIN}/kubelet a\n", nil, nil},
	{"quote in the path", "[Service]\nExecStart=/usr/local/bin/ku\\'belet a\n", nil, nil},
	{"directory", "[Service]\nExecStart=/usr/local/bin/ a\n", nil, nil},
	{"no program", "[Service]\nExecStart=\"\" a\n", nil, nil},
	{"prefix alone", "[Service]\nExecStart=- a\n", nil, nil},
	{"specifier in the path", "[Service]\nExecStart=%t/../usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"no ExecStart", "[Service]\nRestart=no\n", nil, nil},
	{"two commands", line("a") + line("b"), nil, nil},
	{"two commands on a line", line("a ; /usr/local/bin/kubelet b"), nil, nil},
	{"taken back", line("a") + "ExecStart=\n" + line("b"), nil, []string{"b"}},
	{"taken back altogether", line("a") + "ExecStart=\n", nil, nil},
	{"shell", "[Service]\nExecStart=/bin/sh -c \"exec /usr/local/bin/kubelet 'a b'\"\n", nil, []string{"a b"}},

	// Specifiers
	{"percent", line(`100%% %%H "%%"`), nil, []string{"100%", "%H", "%"}},
	{"host name", line(`--hostname-override=%H "%H x" %%%H`), nil, []string{"--hostname-override=sysparse", "sysparse x", "%sysparse"}},
	{"directories", line(`%t %S/kubelet %E %L %C`), nil, []string{"/run", "/var/lib/kubelet", "/etc", "/var/log", "/var/cache"}},
	{"percent before what is no specifier", line(`a<10%,b %1 %z %_ %{x} "% x"`), nil, []string{"a<10%,b", "%1", "%z", "%_", "%{x}", "% x"}},
	{"percent at the end", line(`10% "20%" %`), nil, []string{"10%", "20%", "%"}},
	{"percent as hexadecimal", line(`\x25t \x25%t`), nil, []string{"/run", "%t"}},
	{"percent sets no dollar", line(`%%$$ $$%%`), nil, []string{"%$", "$%"}},

	// Variables
	{"word", someVariables + line(`$FOO x`), nil, []string{"foo", "x"}},
	{"word that splits", someVariables + line(`$LIST x`), nil, []string{"a", "b c", "d", "x"}},
	{"quoted word splits too", someVariables + line(`"$LIST" '$FOO'`), nil, []string{"a", "b c", "d", "foo"}},
	{"braces don't split", someVariables + line(`${LIST} "${LIST}"`), nil, []string{"a 'b c' d", "a 'b c' d"}},
	{"inside a word", someVariables + line(`${FOO}x x${FOO}x${FOO} --a=${FOO}`), nil, []string{"foox", "xfooxfoo", "--a=foo"}},
	{"without braces inside a word", someVariables + line(`a$FOO --a=$FOO`), nil, []string{"a$FOO", "--a=$FOO"}},
	{"two without braces", someVariables + line(`$FOO$FOO x`), nil, []string{"x"}},
	{"not the whole word", someVariables + line(`$FOO/x "$FOO x" $FOO${FOO} y`), nil, []string{"y"}},
	{"dollars", someVariables + line(`$$FOO $$ a$$b $$$FOO $$$$ $${FOO}`), nil, []string{"$FOO", "$", "a$b", "$$FOO", "$$", "${FOO}"}},
	{"three dollars and braces", someVariables + line(`$$${FOO} a$$$b`), nil, []string{"$foo", "a$$b"}},
	{"lone dollar", someVariables + line(`a $ b$ $/`), nil, []string{"a", "b$"}},
	{"empty", someVariables + line(`$EMPTY ${EMPTY} x${EMPTY}y`), nil, []string{"", "xy"}},
	{"not set", line(`$NOPE ${NOPE} x${NOPE}y`), nil, []string{"", "xy"}},
	{"nothing in braces", someVariables + line(`${} a${}b`), nil, []string{"", "ab"}},
	{"braces that stay open", someVariables + line(`${FOO x ${ a${FOO`), nil, []string{"${FOO", "x", "${", "a${FOO"}},
	{"defaults of shells", someVariables + line(`${FOO:-x} ${NOPE:-y} ${FOO:+${FOO}}`), nil, []string{"${FOO:-x}", "${NOPE:-y}", "${FOO:+foo}"}},
	{"open braces around others", someVariables + line(`${${FOO}} ${FOO$FOO}`), nil, []string{"}", ""}},
	{"name with an underscore", someVariables + line(`$_1 ${_1}`), nil, []string{"under", "under"}},
	{"dollar as hexadecimal", someVariables + line(`\x24FOO a\x24{FOO}`), nil, []string{"foo", "afoo"}},
	{"dollar from a variable", someVariables + "Environment=D=$FOO E=${FOO}\n" + line(`$D ${E}`), nil, []string{"$FOO", "${FOO}"}},
	{"percent in braces", someVariables + line(`${%%} x`), nil, []string{"", "x"}},
	{"colon", someVariables + "ExecStart=:/usr/local/bin/kubelet $FOO ${FOO} $$ %t\n", nil, []string{"$FOO", "${FOO}", "$$", "/run"}},
	{"brace after the variable", someVariables + line(`${FOO}} {$FOO}`), nil, []string{"foo}", "{$FOO}"}},
	{"how values split", "[Service]\n" + `Environment="A=x\\\\y \\\"q r\\\" it\\'s 'a b'c \"\" end\\\\"` + "\n" + line(`$A`), nil, []string{`x\y`, `"q`, `r"`, "it's", "a bc", "", `end\`}},
	{"values with open quotes", "[Service]\n" + `Environment="A=x 'a b"` + "\n" + line(`$A`), nil, []string{"x", "a b"}},
	{"values with newlines", "[Service]\n" + `Environment="A=x\ny\tz\r1"` + "\n" + line(`$A`), nil, []string{"x", "y", "z", "1"}},
	{"backslash at the end of a value", "[Service]\n" + `Environment='A=x\\'` + "\n" + line(`$A`), nil, []string{"x"}},

	// Environment=
	{"several on a line", "[Service]\nEnvironment=A=1 \"B=2 3\" 'C=4' D=\"5 6\"\n" + line(`${A} ${B} ${C} ${D}`), nil, []string{"1", "2 3", "4", "5 6"}},
	{"the last one wins", "[Service]\nEnvironment=A=1 A=2\nEnvironment=A=3\n" + line(`$A`), nil, []string{"3"}},
	{"specifiers in it", "[Service]\nEnvironment=A=%H B=100%% %p%i=x C=%z\n" + line(`$A $B $C`), nil, []string{"sysparse", "100%", "%z"}},
	{"specifier of blanks is no separator", "[Service]\nEnvironment=\"A=%t %t\"\n" + line(`$A`), nil, []string{"/run", "/run"}},
	{"reset", "[Service]\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n" + line(`${A} ${B}`), nil, []string{"", "2"}},
	{"not an assignment", "[Service]\nEnvironment=A B=2 1C=3 D-E=4 =5 F=6\n" + line(`${A} ${B} ${1C} ${D-E} ${F}`), nil, []string{"", "2", "", "", "6"}},
	{"unknown escape ends it", "[Service]\nEnvironment=A=1 B=\\q C=3\nEnvironment=D=4\n" + line(`${A} ${B} ${C} ${D}`), nil, []string{"1", "", "", "4"}},
	{"open quote ends it", "[Service]\nEnvironment=A=1 \"B=2\nEnvironment=D=4\n" + line(`${A} ${B} ${D}`), nil, []string{"1", "", "4"}},
	{"continued Environment", "[Service]\nEnvironment=A=1 \\\n# no\n  B=2\n" + line(`${A} ${B}`), nil, []string{"1", "2"}},
	{"escapes in it", "[Service]\nEnvironment=\"A=a\\x20b\\tc\" B=\\x24FOO\n" + line(`$A ${A} $B`), nil, []string{"a", "b", "c", "a b\tc", "$FOO"}},
	{"not UTF-8 behind escapes", "[Service]\nEnvironment=A=\\xff B=2\n" + line(`${A} ${B}`), nil, []string{"", "2"}},
	{"after the command", line(`$A`) + "Environment=A=1\n", nil, []string{"1"}},
	{"key in lower case", "[Service]\nenvironment=A=1\n" + line(`${A}`), nil, []string{""}},
	{"unset again", "[Service]\nEnvironment=A=1 B=2 C=3 D=4\nUnsetEnvironment=A B=2 C=9 \"D\"\n" + line(`${A} ${B} ${C} ${D}`), nil, []string{"", "", "3", ""}},
	{"unset taken back", "[Service]\nEnvironment=A=1\nUnsetEnvironment=A\nUnsetEnvironment=\n" + line(`${A}`), nil, []string{"1"}},
	{"no variable in the value", "[Service]\nEnvironment=A=1 B=$A C=${A}\n" + line(`${B} ${C}`), nil, []string{"$A", "${A}"}},

	// EnvironmentFile=
	{"plain file", file("plain") + line(`$A ${B}`), map[string]string{"/env/plain": "A=1\nB=2 3 \n"}, []string{"1", "2 3"}},
	{"quotes in a file", file("quotes") + line(`${A} ${B} ${C} ${D} ${E}`), map[string]string{"/env/quotes": "A=\"1 2\"\nB='3 4'\nC=x\"y z\"\nD=\"a\"'b' \"c\" d \"e\" \nE=\"\"\n"}, []string{"1 2", "3 4", `x"y z"`, `abcd "e"`, ""}},
	{"escapes in a file", file("escapes") + line(`${A} ${B} ${C} ${D}`), map[string]string{"/env/escapes": "A=a\\tb\\\"\\\\\nB=\"a\\tb\\\"\\\\\\$\\`\"\nC='a\\tb\\'\nD=a\\  \n"}, []string{`atb"\`, "a\\tb\"\\$`", `a\tb\`, "a "}},
	{"continued in a file", file("continued") + line(`${A} ${B} ${C} ${D} ${E}`), map[string]string{"/env/continued": "A=a \\\n  b\nB=\"a \\\n  b\"\nC='a \\\n  b'\nD=\\\n  x\nE=\"\\\nx\"\\\n y\n"}, []string{"a   b", "a   b", "a \\\n  b", "  x", "x y"}},
	{"newline in quotes", file("newline") + line(`$A ${B}`), map[string]string{"/env/newline": "A=\"--a\n--b\"\nB='x\ny'\n"}, []string{"--a", "--b", "x\ny"}},
	{"comments in a file", file("comments") + line(`${A} ${B} ${C}`), map[string]string{"/env/comments": "# A=0\n ; A=0\nA=1 # no comment\nB=2;x\n  # x\n\nC=3"}, []string{"1 # no comment", "2;x", "3"}},
	{"continued comment", file("cc") + line(`${A} ${B}`), map[string]string{"/env/cc": "# x \\\nA=1\nB=2\n"}, []string{"", "2"}},
	{"blanks in a file", file("blanks") + line(`${A} ${B} ${C}`), map[string]string{"/env/blanks": "  A  =  1  \n\tB\t=\t\"2 \" \nC=\n"}, []string{"1", "2 ", ""}},
	{"names in a file", file("names") + line(`${A} ${B} ${C} ${1D} ${E}`), map[string]string{"/env/names": "export A=1\nB=2\nC\n1D=3\n=4\nE-F=5\nE=6\n"}, []string{"", "2", "", "", "6"}},
	{"word from a file", file("word") + line(`$A`), map[string]string{"/env/word": "A=--a=\"b c\" --d 'e f'\n"}, []string{"--a=b c", "--d", "e f"}},
	{"quoted word from a file", file("qword") + line(`$A`), map[string]string{"/env/qword": "A=\"--a='b c' --d \\\"e f\\\"\"\n"}, []string{"--a=b c", "--d", "e f"}},
	{"no expansion in a file", file("noexp") + line(`$A ${B}`), map[string]string{"/env/noexp": "A=$FOO\nFOO=1\nB=%H\n"}, []string{"$FOO", "%H"}},
	{"CRLF in a file", file("crlf") + line(`${A} ${B} ${C}`), map[string]string{"/env/crlf": "A=1\r\nB=\"2\"\r\nC=3 \\\r\n4\r\n"}, []string{"1", "2", "3 "}},
	{"CRLF in quotes", file("crlfq") + line(`${A}`), map[string]string{"/env/crlfq": "A=\"1\r\n2 \\\r\n3\"\r\n"}, []string{"1\r\n2 \\\r\n3"}},
	{"file with an open quote", file("open") + line(`${A} ${B}`), map[string]string{"/env/open": "A=\"1\nB=2\n"}, []string{"1\nB=2\n", ""}},
	{"file with an open single quote", file("open1") + line(`${A}`), map[string]string{"/env/open1": "A='1 "}, []string{"1 "}},
	{"file that ends in a backslash", file("end") + line(`${A} ${B}`), map[string]string{"/env/end": "A=1\nB=2 \\"}, []string{"1", "2 "}},
	{"file that ends in blanks", file("endb") + line(`${A} ${B}`), map[string]string{"/env/endb": "A=1\nB=2  "}, []string{"1", "2"}},
	{"file that ends in a quoted backslash", file("endq") + line(`${A}`), map[string]string{"/env/endq": "A=\"2\\"}, []string{"2"}},
	{"file that is not UTF-8", file("utf") + line(`${A}`), map[string]string{"/env/utf": "A=1\nB=\xff\n"}, nil},
	{"file that is not UTF-8 and may be missing", "[Service]\nEnvironmentFile=-/env/utf2\n" + line(`${A}`), map[string]string{"/env/utf2": "A=1\nB=\xff\n"}, []string{""}},
	{"comment that is not UTF-8", file("utfc") + line(`${A}`), map[string]string{"/env/utfc": "# \xff\nA=1\nB\xff\n"}, []string{"1"}},
	{"NUL in a file", file("nul") + line(`${A} ${B}`), map[string]string{"/env/nul": "A=1\n# \x00\nB=2\n"}, nil},
	{"byte order mark in a file", file("bom") + line(`${A} ${B}`), map[string]string{"/env/bom": "\ufeffA=1\nB=2\n"}, []string{"", "2"}},
	{"file wins over Environment", file("wins") + "Environment=A=0 B=0\n" + line(`$A $B`), map[string]string{"/env/wins": "A=1\n"}, []string{"1", "0"}},
	{"later file wins", file("first") + file("second") + line(`$A $B`), map[string]string{"/env/first": "A=1\nB=1\nA=3\n", "/env/second": "B=2\n"}, []string{"3", "2"}},
	{"file is missing", file("missing") + line(`x`), nil, nil},
	{"file may be missing", "[Service]\nEnvironmentFile=-/env/missing\n" + line(`x${A}`), nil, []string{"x"}},
	{"files taken back", file("back") + "EnvironmentFile=\n" + line(`x${A}`), map[string]string{"/env/back": "A=1\n"}, []string{"x"}},
	{"wildcards", "[Service]\nEnvironmentFile=/env/w?ld-*\n" + line(`$A $B`), map[string]string{"/env/wild-2": "A=2\n", "/env/wild-1": "A=1\nB=1\n"}, []string{"2", "1"}},
	{"wildcards without a match", "[Service]\nEnvironmentFile=/env/nowild-*\n" + line(`x`), nil, nil},
	{"wildcards that need no match", "[Service]\nEnvironmentFile=-/env/nowild-*\n" + line(`x`), nil, []string{"x"}},
	{"specifier in the file's path", "[Service]\nEnvironmentFile=/env/%H%%\n" + line(`$A`), map[string]string{"/env/sysparse%": "A=1\n"}, []string{"1"}},
	{"file's path is not quoted", "[Service]\nEnvironmentFile=\"/env/plain\"\n" + line(`x${A}`), nil, []string{"x"}},
	{"file's path with blanks", "[Service]\nEnvironmentFile=/env/a b\n" + line(`${A}`), map[string]string{"/env/a b": "A=1\n"}, []string{"1"}},
	{"relative path of a file", "[Service]\nEnvironmentFile=env/plain\n" + line(`x${A}`), nil, []string{"x"}},

	// As written by kubeadm and by packages
	{"kubeadm", "[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"\n" +
		"Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n# This is a file that kubeadm generates\nEnvironmentFile=-/env/kubeadm-flags.env\nEnvironmentFile=-/env/default-kubelet\n" +
		"ExecStart=\nExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
		map[string]string{"/env/kubeadm-flags.env": "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/containerd/containerd.sock --pod-infra-container-image=registry.k8s.io/pause:3.9\"\n", "/env/default-kubelet": "KUBELET_EXTRA_ARGS=\n"},
		[]string{"--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/var/lib/kubelet/config.yaml", "--container-runtime-endpoint=unix:///run/containerd/containerd.sock", "--pod-infra-container-image=registry.k8s.io/pause:3.9"}},
	{"thresholds", line("--eviction-hard=memory.available<100Mi,nodefs.available<10%,imagefs.available<15% \\\n  --system-reserved=cpu=100m"), nil, []string{"--eviction-hard=memory.available<100Mi,nodefs.available<10%,imagefs.available<15%", "--system-reserved=cpu=100m"}},
}

func file(name string) string { return "[Service]\nEnvironmentFile=/env/" + name + "\n" }

var _ = []any{errors.New, fmt.Sprint, fs.ErrNotExist, reflect.DeepEqual, slices.Contains[[]int], strings.Cut}
