// SPDX-License-Identifier: AGPL-3.0-only

package internal_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A source is one parsed file.
type source struct {
	pkg       string
	file      *ast.File
	positions *token.FileSet
}

// check gives one complaint for each broken rule, in the order of the sources.
func (r rulebook) check(sources []source) []string {
	var complaints []string
	for _, s := range sources {
		c := checker{rules: r, source: s, local: map[string]string{}}
		c.run()
		complaints = append(complaints, c.complaints...)
	}
	return complaints
}

// floor gives a package's floor; "ca/vault" is found as "ca/*".
func (r rulebook) floor(pkg string) (int, bool) {
	if floor, found := r.floors[pkg]; found {
		return floor, true
	}
	floor, found := r.floors[path.Dir(pkg)+"/*"]
	return floor, found
}

// A checker walks one file.
type checker struct {
	rules      rulebook
	source     source
	floor      int
	local      map[string]string // name in this file: path of the imported package
	complaints []string
}

// complain records a broken rule at a place.
func (c *checker) complain(at ast.Node, format string, args ...any) {
	c.complaints = append(c.complaints,
		fmt.Sprintf("%s: %s", c.source.positions.Position(at.Pos()), fmt.Sprintf(format, args...)))
}

func (c *checker) run() {
	if c.rules.outside[c.source.pkg] {
		return
	}
	floor, known := c.rules.floor(c.source.pkg)
	if !known {
		c.complain(c.source.file, "package %s has no floor: add it to the table", c.source.pkg)
		return
	}
	c.floor = floor
	for _, spec := range c.source.file.Imports {
		c.visitImport(spec)
	}
	ast.Inspect(c.source.file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			if c.pure() {
				c.complain(node, "%s starts a goroutine below the pure line", c.source.pkg)
			}
		case *ast.SelectorExpr:
			if name, ok := node.X.(*ast.Ident); ok {
				c.visitUse(node, c.local[name.Name], node.Sel.Name)
			}
		}
		return true
	})
}

// pure reports whether the file belongs to the pure core.
func (c *checker) pure() bool { return c.floor < c.rules.pureBelow }

// visitImport holds one import to the floors, the restrictions and the pure line.
func (c *checker) visitImport(spec *ast.ImportSpec) {
	imported, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		c.complain(spec, "cannot read the import %s", spec.Path.Value)
		return
	}
	c.bind(spec, imported)
	if own, inside := strings.CutPrefix(imported, module+"/"); inside {
		c.visitOwn(spec, packageAt(own))
		return
	}
	for _, restricted := range slices.Sorted(maps.Keys(c.rules.restricts)) {
		allowed := c.rules.restricts[restricted]
		if within(imported, restricted) && !slices.Contains(allowed, c.source.pkg) {
			c.complain(spec, "%s imports %s, which is for %s only", c.source.pkg, imported, strings.Join(allowed, ", "))
		}
	}
	if c.pure() && impure(imported) && !slices.ContainsFunc(c.rules.values[c.source.pkg], func(v values) bool { return v.path == imported }) {
		c.complain(spec, "%s imports %s below the pure line", c.source.pkg, imported)
	}
}

// bind remembers under which name the file uses a package, so that an alias hides nothing. Of the packages whose
// names are looked at, all are called by their path's last element.
func (c *checker) bind(spec *ast.ImportSpec, imported string) {
	if spec.Name == nil {
		c.local[path.Base(imported)] = imported
		return
	}
	if spec.Name.Name == "." {
		c.complain(spec, "%s imports all names of %s, which hides where they come from", c.source.pkg, imported)
	}
	c.local[spec.Name.Name] = imported
}

// visitOwn holds an import of this module to the floors.
func (c *checker) visitOwn(spec *ast.ImportSpec, imported string) {
	if c.rules.outside[imported] {
		c.complain(spec, "%s imports %s, which is no part of the program", c.source.pkg, imported)
		return
	}
	floor, known := c.rules.floor(imported)
	if !known {
		c.complain(spec, "%s imports %s, which has no floor: add it to the table", c.source.pkg, imported)
		return
	}
	parent := floor == c.floor && path.Dir(c.source.pkg) == imported // ca/vault may import ca
	if floor >= c.floor && !parent {
		c.complain(spec, "%s (floor %d) imports %s (floor %d): only lower floors may be imported",
			c.source.pkg, c.floor, imported, floor)
	}
}

// visitUse looks at a name of an imported package. A name that is merely mentioned counts as much as one that is
// called: it may be called elsewhere.
func (c *checker) visitUse(at ast.Node, imported, name string) {
	if imported == "" {
		return
	}
	pkg := c.source.pkg
	if exits(imported, name) && !c.rules.exits[pkg] {
		c.complain(at, "%s uses %s.%s: it must return an error instead of ending the process", pkg, imported, name)
	}
	if readsEnvironment(imported, name) && !c.rules.environs[pkg] {
		c.complain(at, "%s uses %s.%s: the environment is read by cli and handed down", pkg, imported, name)
	}
	if !c.pure() {
		return
	}
	if slices.Contains(impureNames(imported), name) {
		c.complain(at, "%s uses %s.%s below the pure line", pkg, imported, name)
	}
	for _, allowed := range c.rules.values[pkg] {
		if allowed.path == imported && !slices.Contains(allowed.names, name) {
			c.complain(at, "%s uses %s.%s below the pure line: of that package it may use %s only",
				pkg, imported, name, strings.Join(allowed.names, ", "))
		}
	}
}

// impure reports whether a package belongs above the pure line: operating system, network, concurrency, logs,
// randomness. What only parses or compares addresses is pure. Of other modules, those that compute on values are.
func impure(imported string) bool {
	if slices.Contains([]string{"net/netip", "net/url", "net/mail"}, imported) {
		return false
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		return !slices.Contains([]string{"gopkg.in/yaml.v3", "golang.org/x/net/publicsuffix"}, imported)
	}
	return slices.ContainsFunc([]string{
		"C", "context", "crypto/rand", "database", "embed", "hash/maphash", "io/fs", "io/ioutil", "log", "math/rand", "net", "os",
		"plugin", "runtime", "sync", "syscall", "testing", "unsafe", "weak",
	}, func(forbidden string) bool { return within(imported, forbidden) })
}

// impureNames are names of otherwise pure packages that read the clock, wait, or look at the machine.
func impureNames(imported string) []string {
	switch imported {
	case "time":
		return []string{"After", "AfterFunc", "LoadLocation", "Local", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
	case "path/filepath":
		return []string{"Abs", "EvalSymlinks", "Glob", "Walk", "WalkDir"}
	case "crypto/x509":
		return []string{"SystemCertPool"}
	case "crypto/tls":
		return []string{"Dial", "DialWithDialer", "Listen", "LoadX509KeyPair"}
	case "fmt":
		return []string{"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"}
	}
	return nil
}

// exits reports whether a name ends the process.
func exits(imported, name string) bool {
	switch imported {
	case "os", "syscall":
		return name == "Exit"
	case "log":
		return strings.HasPrefix(name, "Fatal")
	}
	return false
}

// readsEnvironment reports whether a name reads or changes the environment.
func readsEnvironment(imported, name string) bool {
	names := []string{"Clearenv", "Environ", "ExpandEnv", "Getenv", "LookupEnv", "Setenv", "Unsetenv"}
	return (imported == "os" || imported == "syscall") && slices.Contains(names, name)
}

// within reports whether a path is a folder or lies below it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}
