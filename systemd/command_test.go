package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
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
	{"NUL before a newline", "[Service]\nExecStart=/usr/local/bin/kubelet a \\\x00\nb\n", nil, []string{"a"}},
	{"newline before a NUL", "[Service]\nExecStart=/usr/local/bin/kubelet a \\\n\x00b\n", nil, []string{"a", "b"}},
	{"byte order mark", "\ufeff[Service]\nExecStart=/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"byte order mark before a comment", "\ufeff# c\n[Service]\nExecStart=/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"byte order mark later", "[Service]\n\ufeffExecStart=/usr/local/bin/kubelet a\n", nil, []string{"a"}},
	{"two byte order marks", "\ufeff[Service]\nExecStart=/usr/local/bin/kubelet a\n\ufeffExecStart=\n", nil, []string{"a"}},
	{"a line that is not UTF-8", line("a") + "ExecStart=\xff\n", nil, nil},
	{"a line with a noncharacter", line("a") + "ExecStart=\uffff\n", nil, nil},
	{"a line with another noncharacter", line("a") + "X=\ufdd0\n", nil, nil},
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
	{"exclamation mark and plus", "[Service]\nExecStart=!+/usr/local/bin/kubelet a\n", nil, nil},
	{"plus twice", "[Service]\nExecStart=++/usr/local/bin/kubelet a\n", nil, nil},
	{"minus twice", "[Service]\nExecStart=--/usr/local/bin/kubelet a\n", nil, nil},
	{"another name", "[Service]\nExecStart=@/usr/local/bin/kubelet name a\n", nil, []string{"a"}},
	{"another name is missing", "[Service]\nExecStart=@/usr/local/bin/kubelet\n", nil, nil},
	{"another name is empty", "[Service]\nExecStart=@/usr/local/bin/kubelet \"\" a\n", nil, []string{"a"}},
	{"another name of many words", someVariables + "ExecStart=@/usr/local/bin/kubelet $LIST x\n", nil, []string{"b c", "d", "x"}},
	{"another name of no words", someVariables + "ExecStart=@/usr/local/bin/kubelet $UNSET x y\n", nil, []string{"y"}},
	{"another name is not set, and no more words", someVariables + "ExecStart=@/usr/local/bin/kubelet $UNSET\n", nil, nil},
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

	// Specifiers
	{"percent", line(`100%% %%H "%%"`), nil, []string{"100%", "%H", "%"}},
	{"host name", line(`--hostname-override=%H "%H x" %%%H`), nil, []string{"--hostname-override=sysparse", "sysparse x", "%sysparse"}},
	{"directories", line(`%t %S/kubelet %E %L %C`), nil, []string{"/run", "/var/lib/kubelet", "/etc", "/var/log", "/var/cache"}},
	{"percent before what is no specifier", line(`a<10%,b %_ %{x} "% x" %-`), nil, []string{"a<10%,b", "%_", "%{x}", "% x", "%-"}},
	{"percent before what may not be ASCII", line(`%ü`), nil, []string{"%ü"}},
	{"unknown specifier", line(`%z`), nil, nil},
	{"number as a specifier", line(`%1`), nil, nil},
	{"percent of a percent", line(`%%z`), nil, []string{"%z"}},
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
	{"dollars behind braces that stay open", someVariables + line(`${FOO$$x$$ $$ ${$FOO$$:$$`), nil, []string{"${FOO$$x$$", "$", "${$FOO$$:$"}},
	{"colon in braces", someVariables + line(`${A$$:$$${FOO}} ${:${FOO}`), nil, []string{"${A$$:$foo}", "${:foo"}},
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
	{"specifiers in it", "[Service]\nEnvironment=A=%H B=100%% %p%i=x C=%z D=10%,x\n" + line(`$A $B ${C} $D`), nil, []string{"sysparse", "100%", "", "10%,x"}},
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
	{"unknown specifier in the file's path", "[Service]\nEnvironmentFile=/env/%z\n" + line(`x`), nil, []string{"x"}},
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

// realEnvironment is what the cases find around them.
func realEnvironment(files map[string]string) Environment {
	specifiers := map[byte]string{'H': "sysparse", 't': "/run", 'S': "/var/lib", 'E': "/etc", 'L': "/var/log", 'C': "/var/cache", 'p': "case-1", 'i': ""}
	return Environment{
		ReadFile: func(name string) ([]byte, error) {
			if s, ok := files[name]; ok {
				return []byte(s), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Glob: func(pattern string) (names []string, err error) {
			for name := range files {
				if ok, err := path.Match(pattern, name); err != nil {
					return nil, err
				} else if ok {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			return names, nil
		},
		Specifier: func(c byte) (string, bool) {
			s, ok := specifiers[c]
			return s, ok
		},
	}
}

func texts(words []Word) []string {
	all := []string{}
	for _, w := range words {
		all = append(all, w.Text)
	}
	return all
}

func TestExecStartIsThatOfSystemd(t *testing.T) {
	for _, tt := range realCases {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseUnit("kubelet.service", []byte(tt.unit))
			c, execErr := u.ExecStart(realEnvironment(tt.files))
			got, err := texts(c.Args), errors.Join(err, execErr)
			switch {
			case tt.want == nil && err == nil:
				t.Errorf("got %q, but systemd refuses this", got)
			case tt.want != nil && (err != nil || !slices.Equal(got, tt.want)):
				t.Errorf("got %q, %v; systemd has %q", got, err, tt.want)
			}
		})
	}
}

func TestExecStartPath(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"plain", `/usr/bin/kubelet a`, "/usr/bin/kubelet kubelet.service:2:11"},
		{"prefixes", `-:@!!/usr/bin/kubelet k a`, "/usr/bin/kubelet kubelet.service:2:16"},
		{"quoted", `"/usr/bin/kubelet" a`, "/usr/bin/kubelet kubelet.service:2:12"},
		{"superfluous slashes", `//usr/./bin//kubelet a`, "/usr/bin/kubelet kubelet.service:2:11"},
		{"plain name", `kubelet a`, "kubelet kubelet.service:2:11"},
		{"specifier", `%t/kubelet a`, "/run/kubelet kubelet.service:2:11"},
		{"shell", `/bin/sh -c "exec kubelet"`, "/bin/sh kubelet.service:2:11"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseUnit("kubelet.service", []byte("[Service]\nExecStart="+tt.line+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			c, err := u.ExecStart(realEnvironment(nil))
			if got := fmt.Sprintf("%s %s:%d:%d", c.Path, c.File, c.Line, c.Column); err != nil || got != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// Every word tells where its first character was written, whatever way it came.
func TestPositionsOfWords(t *testing.T) {
	unit, err := ParseUnit("kubelet.service", []byte(`[Service]
Environment="A=--a 'b c'" \
 # a comment
   B=--b C=%H
EnvironmentFile=/env
ExecStart=/usr/bin/kubelet --first "quoted" \
    --second=x${B} ${B}x $C $A $FROM_FILE \
  # another comment
	%H \x41 "" '${UNSET}'end ${UNSET} \; a"b"
`))
	if err != nil {
		t.Fatal(err)
	}
	file := "# ü\r\nFROM_FILE=\"--c\r\n  --d \\\n--e\" \\\n  'f'\n"
	c, err := unit.ExecStart(realEnvironment(map[string]string{"/env": file}))
	if err != nil {
		t.Fatal(err)
	}
	in := func(file string) func(text string, line, column int) Word {
		return func(text string, line, column int) Word {
			return Word{Text: text, Position: Position{file, line, column}}
		}
	}
	k, e := in("kubelet.service"), in("/env")
	want := []Word{
		k("--first", 6, 28), k("quoted", 6, 37),
		k("--second=x--b", 7, 5), k("--bx", 4, 6), k("sysparse", 4, 12), k("--a", 2, 16), k("b c", 2, 21),
		e("--c", 2, 12), e("--d", 3, 3), e("--e", 4, 1), e("f", 5, 4),
		k("sysparse", 9, 2), k("A", 9, 5), k("", 9, 10), k("end", 9, 23), k("", 9, 27), k(";", 9, 36), k("ab", 9, 39),
	}
	if !slices.Equal(c.Args, want) {
		for i := range max(len(want), len(c.Args)) {
			g, w := Word{}, Word{}
			if i < len(c.Args) {
				g = c.Args[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				t.Errorf("word %d: got %+v, want %+v", i, g, w)
			}
		}
	}
}

func TestExecStartErrors(t *testing.T) {
	tests := []struct{ name, unit, want string }{
		{"no command", "[Service]\n", "no ExecStart= command"},
		{"taken back", "[Service]\nExecStart=/a\nExecStart=\n", "no ExecStart= command"},
		{"in another section", "[Unit]\nExecStart=/a\n", "no ExecStart= command"},
		{"second command", "[Service]\nExecStart=/a\nType=oneshot\nExecStart=/b\n",
			"k:4:11: a second ExecStart= command, after the one at k:2:11: only a Type=oneshot service may have more than one, and a kubelet is none"},
		{"second command on the line", "[Service]\nExecStart=/a b ; /b\n",
			"k:2:18: a second ExecStart= command, after the one at k:2:11: only a Type=oneshot service may have more than one, and a kubelet is none"},
		{"open quote", "[Service]\nExecStart=/a b 'c \\\n d\n", "k:2:16: this quote is never closed\nno ExecStart= command"},
		{"open quote, and a good one", "[Service]\nExecStart=/a 'b\nExecStart=/a c\n", "k:2:14: this quote is never closed"},
		{"program", "[Service]\nExecStart=${BIN}/kubelet\n",
			`k:2:11: the program "${BIN}/kubelet" is neither an absolute path nor a plain name (variables are not expanded here)` + "\nno ExecStart= command"},
		{"specifiers", "[Service]\nExecStart=/a %m \\\n  --x=%a%z\n",
			"k:2:14: the specifier %m (machine ID, see systemd.unit(5)) cannot be resolved here\n" +
				"k:3:7: the specifier %a (architecture, see systemd.unit(5)) cannot be resolved here\n" +
				"k:3:9: systemd.unit(5) has no specifier %z: a percent sign is written %%"},
		{"specifier in a variable", "[Service]\nEnvironment=A=%m B=%b\nExecStart=/a ${A}\n",
			"k:2:15: the specifier %m (machine ID, see systemd.unit(5)) cannot be resolved here"},
		{"specifier in a path", "[Service]\nEnvironmentFile=-/%m\nExecStart=/a\n",
			"k:2:19: the specifier %m (machine ID, see systemd.unit(5)) cannot be resolved here"},
		{"specifier in what gets unset", "[Service]\nUnsetEnvironment=%m\nExecStart=/a\n",
			"k:2:18: the specifier %m (machine ID, see systemd.unit(5)) cannot be resolved here"},
		{"no file", "[Service]\nEnvironmentFile=/none\nExecStart=/a\n", "k:2:17: EnvironmentFile=/none: file does not exist"},
		{"unreadable file", "[Service]\nEnvironmentFile=-/secret\nExecStart=/a\n", "k:2:17: EnvironmentFile=/secret: permission denied"},
		{"wildcards", "[Service]\nEnvironmentFile=-/*\nExecStart=/a\n", "k:2:17: an EnvironmentFile= with wildcards cannot be resolved here: /*"},
		{"bad file", "[Service]\nEnvironmentFile=/bad\nExecStart=/a\n", "/bad:2:1: not valid UTF-8: systemd refuses the file"},
	}
	env := Environment{ReadFile: func(name string) ([]byte, error) {
		switch name {
		case "/bad":
			return []byte("A=1\nB=\xff\n"), nil
		case "/secret":
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseUnit("k", []byte(tt.unit))
			if err != nil {
				t.Fatal(err)
			}
			_, err = u.ExecStart(env)
			if err == nil || err.Error() != tt.want {
				t.Fatalf("got %v\nwant %s", err, tt.want)
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) && !errors.Is(err, ErrNoCommand) {
				t.Errorf("%v has no type", err)
			}
			if missing := strings.Contains(tt.want, ErrNoCommand.Error()); errors.Is(err, ErrNoCommand) != missing {
				t.Errorf("%v is ErrNoCommand: %v", err, !missing)
			}
		})
	}
}

// What a user may not list, systemd may.
func TestOptionalFilesThatCanNotBeListed(t *testing.T) {
	u := parsed(t, "k", "[Service]\nEnvironmentFile=-/*\nExecStart=/a\n")
	_, err := u.ExecStart(Environment{Glob: func(string) ([]string, error) { return nil, fs.ErrPermission }})
	if want := "k:2:17: EnvironmentFile=/*: permission denied"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestExecStartWarnings(t *testing.T) {
	u, err := ParseUnit("k", []byte(`[Service]
Environment=1A=x OK=%z B=\q C=1
EnvironmentFile="/x"
EnvironmentFile=-/bad
EnvironmentFile=-/loose
ExecStart=/k a\qb --x=$C $C$D ${NOT} $NOT ${C:-1} ${D
`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := u.ExecStart(realEnvironment(map[string]string{"/bad": "A=\xff\n", "/loose": "export A=1\nB\n"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.Error())
	}
	want := []string{
		`k:6:15: \q is no escape sequence: the backslash is passed on`,
		`k:2:26: unknown escape sequence: systemd ignores the rest of this Environment=`,
		`k:2:13: "1A=x" does not assign to a variable: systemd ignores it`,
		`k:2:18: systemd ignores "OK=%z": systemd.unit(5) has no specifier %z: a percent sign is written %%`,
		`k:3:17: "\"/x\"" is not an absolute path: systemd ignores this EnvironmentFile=`,
		`k:4:17: systemd ignores /bad: /bad:1:1: not valid UTF-8: systemd refuses the file`,
		`/loose:1:1: "export A" is not the name of a variable: systemd ignores this line`,
		`/loose:2:1: no equals sign: systemd ignores this line`,
		`k:6:23: systemd expands only ${NAME} inside of a word: this is passed on as it is`,
		`k:6:26: "C$D" is not the name of a variable: it expands to nothing`,
		`k:6:31: the variable NOT is not set by this unit: it expands to nothing`,
		`k:6:38: the variable NOT is not set by this unit: it expands to nothing`,
		`k:6:43: systemd knows only ${NAME}: this is passed on as it is`,
		`k:6:51: systemd knows only ${NAME}: this is passed on as it is`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// FuzzRenderedArguments: what KubeletUnit writes is read back as the same words.
func FuzzRenderedArguments(f *testing.F) {
	for _, seed := range []string{
		"", "--a=b", "a b\nc", "\x00", "#\x00;\x00%\x00$", "$FOO\x00${FOO}\x00$$\x00a$", `\` + "\x00" + `"\x00'\x00\x41`, "%H\x00%%\x0010%",
		"\u0085\x00\u00a0\x00\ufeff\x00ü", "\r\n\t\v\f\x7f\x01", "--a=[x]\x00@-:+!x", "\ufffe\x00\ufdd0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		unit := KubeletUnit{Binary: "/usr/local/bin/kubelet", Args: args}.Service()
		u, err := ParseUnit("kubelet.service", unit)
		if err != nil {
			t.Fatalf("%v in\n%s", err, unit)
		}
		c, err := u.ExecStart(Environment{})
		if err != nil || c.Path != "/usr/local/bin/kubelet" || !slices.Equal(texts(c.Args), args) || c.Warnings != nil {
			t.Fatalf("got %q %q, %v, %v; want %q in\n%s", c.Path, texts(c.Args), err, c.Warnings, args, unit)
		}
	})
}

// FuzzExecStart: no unit makes it panic, and every position is inside the file.
func FuzzExecStart(f *testing.F) {
	for _, c := range realCases {
		all := ""
		for _, name := range slices.Sorted(maps.Keys(c.files)) {
			all += c.files[name]
		}
		f.Add(c.unit, all)
	}
	f.Fuzz(func(t *testing.T, unit, file string) {
		u, err := ParseUnit("unit", []byte(unit))
		inside := insides(t, map[string]string{"unit": unit, "file": file})
		c, execErr := u.ExecStart(Environment{
			ReadFile:  func(string) ([]byte, error) { return []byte(file), nil },
			Glob:      func(string) ([]string, error) { return []string{"file"}, nil },
			Specifier: func(c byte) (string, bool) { return "", c == 'E' },
		})
		for _, w := range c.Args {
			w.File = strings.TrimLeft(w.File, "/")
			if w.File != "unit" {
				w.File = "file"
			}
			inside(w.Position)
		}
		for _, w := range u.Warnings {
			inside(w.Position)
		}
		_, _ = err, execErr
	})
}

// insides returns a check that a position is one of a file's bytes, or the end of a line. The lines of a unit end with CR
// and NUL, too.
func insides(t *testing.T, files map[string]string) func(Position) {
	return func(p Position) {
		t.Helper()
		data, ok := files[p.File]
		lines := strings.Split(data, "\n")
		if p.File == "unit" {
			lines = nil
			for _, l := range splitLines("", []byte(data)) {
				lines = append(lines, l.String())
			}
		}
		if !ok || p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
			t.Errorf("%+v is outside of %q", p, data)
		}
	}
}

// TestPartial: what a host has that is not here, or not there yet, stays as it is written.
func TestPartial(t *testing.T) {
	unit := parsed(t, "k", `[Service]
PassEnvironment=FROM_MANAGER
EnvironmentFile=-/missing
EnvironmentFile=/etc/*.env
ExecStart=/k --node-ip=${IP} $ARGS --name=%H --x=${FROM_MANAGER} --v=2 100%%
`)
	env := Environment{Partial: true, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }}
	c, err := unit.ExecStart(env)
	if err != nil || !slices.Equal(c.Missing, []string{"/missing", "/etc/*.env"}) || !slices.Equal(c.Used, []string{"IP", "ARGS", "FROM_MANAGER"}) || len(c.Warnings) > 0 {
		t.Fatalf("got %+v, %v", c, err)
	}
	var got []string
	for _, w := range c.Args {
		got = append(got, fmt.Sprintf("%s %t", w.Text, w.Unknown))
	}
	want := []string{"--node-ip=${IP} true", "$ARGS true", "--name=%H true", "--x=${FROM_MANAGER} true", "--v=2 false", "100% false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	// With all files there, a variable that none sets is known to be empty.
	env.ReadFile = func(string) ([]byte, error) { return []byte("IP=10.0.0.7"), nil }
	env.Glob = func(string) ([]string, error) { return []string{"/etc/a.env"}, nil }
	c, err = unit.ExecStart(env)
	if err != nil || c.Args[0].Text != "--node-ip=10.0.0.7" || c.Args[0].Unknown || c.Args[1].Text != "--name=%H" || len(c.Warnings) != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
}

// TestTakenBack: a value with flags that a later assignment replaces is told, and others are not.
func TestTakenBack(t *testing.T) {
	unit := parsed(t, "k", "[Service]\nEnvironment=A=--a B=b C=--c D=--d\nEnvironment=A=--other B=x D=--d\nEnvironmentFile=/env\nExecStart=/k\n")
	c, err := unit.ExecStart(Environment{ReadFile: func(string) ([]byte, error) { return []byte("\nC=\n"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.Error())
	}
	want := []string{"k:2:15: k:3 sets A again, so this does not count: --a", "k:2:25: /env:2 sets C again, so this does not count: --c"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnexpanded(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"--a=$(hostname) b", "$(hostname)"},
		{"$(unclosed", "$(unclosed"},
		{"a `id -u` b", "`id -u`"},
		{"/opt/bin:$PATH", "$PATH"},
		{"--a=${B:-c}", "${B:-c}"},
		{"\"$A\"", "$A"},
		{"pa$word", ""},
		{"a$$b", ""},
		{"5$", ""},
		{"plain", ""},
	} {
		got := ""
		for _, found := range unexpanded(newText(tt.value, Position{})) {
			got = found.Text
		}
		if tt.want == "" != (got == "") || !strings.Contains(got, "expand "+tt.want+" in") && tt.want != "" {
			t.Errorf("%s: got %q", tt.value, got)
		}
	}
}
