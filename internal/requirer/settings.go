// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/kubefile"
	"github.com/signet-charm/signet/internal/order"
)

// Settings are the options of the charm that concern the certificates it asks for, and what becomes of them.
type Settings struct {
	Idle             bool // nothing is asked for: another part of the program asks those who certify this unit
	Profile          Profile
	CommonName       string // of the server certificate; empty: the unit's first ingress address
	Names            cert.Names
	ClientCommonName string   // empty: the profile's
	Organizations    []string // of the client certificate's subject, after the profile's
	Clients          []Client // further client certificates
	KeyType          cert.KeyType
	NewKeys          bool // a renewal takes a new private key
	Cluster          Cluster

	Dir        string // where the certificates folder appears; empty for the unit's own folder
	Owner      string // of the files
	Group      string
	KeyMode    uint32
	Links      []order.LinkAt
	Overwrite  bool // files of others at links' paths, and entries of others in a kubeconfig, are replaced
	Embed      bool // kubeconfigs hold certificates and key instead of their paths
	Merge      string
	TrustStore bool
	Reloads    []Reload
}

// Client is a further client certificate, under the name of its files.
type Client struct {
	Name          string
	CommonName    string
	Organizations []string
}

// Reload is a service to take up new files.
type Reload struct {
	Service string
	Verb    string
	Files   []string // only these matter to it; none for all
}

// ReadSettings takes the settings from option values; what cannot be used is recorded there.
func ReadSettings(config *juju.Config) Settings {
	settings := Settings{
		Profile:          Profile(config.Choice("certificate-profile", profileNames()...)),
		CommonName:       config.Text("common-name", ""),
		ClientCommonName: config.Text("client-common-name", ""),
		KeyType:          cert.KeyType(config.Choice("certificate-key-type", cert.KeyTypeNames()...)),
		NewKeys:          config.Flag("rotate-key-on-renewal", false),
		Cluster:          readClusterSettings(config),
		Dir:              cleanPath(config, "certificate-directory"),
		Owner:            config.Text("file-owner", ""),
		Group:            config.Text("file-group", ""),
		Overwrite:        config.Flag("overwrite-files", false),
		Embed:            config.Choice("kubeconfig-credentials", "path", "embedded") == "embedded",
		Merge:            cleanPath(config, "kubeconfig-merge"),
		TrustStore:       config.Flag("trust-store", true),
	}
	checkAttribute(config, "common-name", settings.CommonName)
	checkAttribute(config, "client-common-name", settings.ClientCommonName)
	names, err := cert.ParseNames(config.Words("extra_sans"))
	if err != nil {
		config.Refuse("extra_sans", "%v", err)
	}
	settings.Names = names
	if organization := config.Text("certificate-organization", ""); organization != "" {
		settings.Organizations = []string{organization}
		checkAttribute(config, "certificate-organization", organization)
	}
	settings.Clients = readClients(config)
	readFileAccess(config, &settings)
	settings.Links = readLinks(config, settings.Clients)
	settings.Reloads = readReloads(config, settings.Clients)
	return settings
}

// checkAttribute refuses what is too long for the subject of a certificate (RFC 5280, ub-common-name and
// ub-organization-name).
func checkAttribute(config *juju.Config, option, value string) {
	switch {
	case len([]rune(value)) > cert.MaxCommonName:
		config.Refuse(option, "%q has more than %d characters (RFC 5280, appendix A.1)", value, cert.MaxCommonName)
	case value != "" && !kubefile.Prints(value):
		config.Refuse(option, "%q has a character that does not print", value)
	}
}

func cleanPath(config *juju.Config, option string) string {
	value := config.Text(option, "")
	if value != "" && !isClean(value) {
		config.Refuse(option, "%q is not a clean absolute path", value)
		return ""
	}
	return value
}

func isClean(value string) bool {
	return path.IsAbs(value) && path.Clean(value) == value && value != "/"
}

// readFileAccess reads who may read the files. A group can read keys only where it can enter the folder.
func readFileAccess(config *juju.Config, settings *Settings) {
	settings.KeyMode = 0o600
	if settings.Group != "" {
		settings.KeyMode = 0o640
	}
	if mode := config.Choice("key-mode", "auto", "0600", "0640", "0400", "0440"); mode != "auto" {
		bits, err := strconv.ParseUint(mode, 8, 32)
		if err != nil {
			config.Refuse("key-mode", "%q is not a mode", mode)
		}
		settings.KeyMode = uint32(bits)
	}
	const closed = "set certificate-directory as well: nobody but root can enter the unit's own folder"
	if settings.Owner != "" && settings.Dir == "" {
		config.Refuse("file-owner", closed)
	}
	if settings.Group != "" && settings.Dir == "" {
		config.Refuse("file-group", closed)
	}
}

// The letters that names are made of. Regular expressions would be compiled at each start of the program, so at each hook:
// a bounded repetition of 200 takes longer than what most hooks do.
const (
	small    = "abcdefghijklmnopqrstuvwxyz"
	capital  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits   = "0123456789"
	ofClient = small + digits + "-"
	ofUnit   = small + capital + digits + `:_.\@-`
)

// isName reports whether a text begins with one of the characters first, consists of those of all, and is not too long.
func isName(text, first, all string, longest int) bool {
	return text != "" && len(text) <= longest && strings.Contains(first, text[:1]) && strings.TrimLeft(text, all) == ""
}

func isClientName(text string) bool { return isName(text, small, ofClient, 32) }

func isServiceName(text string) bool { return isName(text, small+capital+digits, ofUnit, 200) }

// readClients reads words of the form NAME=COMMON-NAME[,ORGANIZATION…].
func readClients(config *juju.Config) []Client {
	const option = "client-certificates"
	taken := map[string]bool{"server": true, "client": true, "ca": true}
	var clients []Client
	for _, word := range config.Words(option) {
		name, subject, found := strings.Cut(word, "=")
		parts := strings.Split(subject, ",")
		switch {
		case !found || !isClientName(name) || slices.Contains(parts, ""):
			config.Refuse(option, "%q is not NAME=COMMON-NAME or NAME=COMMON-NAME,ORGANIZATION, with a name of small letters, digits and hyphens", word)
			continue
		case taken[name]:
			config.Refuse(option, "the name %q is taken", name)
			continue
		}
		taken[name] = true
		for _, part := range parts {
			checkAttribute(config, option, part)
		}
		clients = append(clients, Client{Name: name, CommonName: parts[0], Organizations: parts[1:]})
	}
	return clients
}

// presets are where charms of Charmed Kubernetes keep the files.
func presets() map[string][]order.LinkAt {
	in := func(dir string, files ...string) []order.LinkAt {
		var found []order.LinkAt
		for _, file := range files {
			found = append(found, order.LinkAt{Path: dir + "/" + file, File: file})
		}
		return found
	}
	return map[string][]order.LinkAt{
		"charmed-kubernetes": in("/root/cdk", "ca.crt", "server.crt", "server.key", "client.crt", "client.key"),
		"etcd":               in("/var/snap/etcd/common", "ca.crt", "server.crt", "server.key", "client.crt", "client.key"),
		"load-balancer":      in("/srv/kubernetes", "server.crt", "server.key"),
	}
}

// readLinks reads words of the form FILE=PATH, or the name of a preset.
func readLinks(config *juju.Config, clients []Client) []order.LinkAt {
	const option = "links"
	var links []order.LinkAt
	for _, word := range config.Words(option) {
		if preset, known := presets()[word]; known {
			links = append(links, preset...)
			continue
		}
		file, at, found := strings.Cut(word, "=")
		switch {
		case !found || !isClean(at):
			config.Refuse(option, "%q is none of charmed-kubernetes, etcd, load-balancer, nor FILE=/ABSOLUTE/PATH", word)
		case !slices.Contains(fileNames(clients), file):
			config.Refuse(option, "%q is none of the files %s", file, strings.Join(fileNames(clients), ", "))
		default:
			links = append(links, order.LinkAt{Path: at, File: file})
		}
	}
	slices.SortFunc(links, func(a, b order.LinkAt) int { return strings.Compare(a.Path, b.Path) })
	links = slices.Compact(links)
	for i := 1; i < len(links); i++ {
		if links[i].Path == links[i-1].Path {
			config.Refuse(option, "%s cannot lead to both %s and %s", links[i].Path, links[i-1].File, links[i].File)
		}
	}
	return links
}

// readReloads reads words of the form [restart:|reload:]SERVICE[=FILE,…].
func readReloads(config *juju.Config, clients []Client) []Reload {
	const option = "reload"
	var reloads []Reload
	for _, word := range config.Words(option) {
		service, list, limited := strings.Cut(word, "=")
		found := Reload{Verb: "reload-or-restart"}
		for _, verb := range []string{"restart", "reload"} {
			if rest, cut := strings.CutPrefix(service, verb+":"); cut {
				service, found.Verb = rest, verb
				break
			}
		}
		if !isServiceName(service) {
			config.Refuse(option, "%q is not SERVICE, restart:SERVICE or reload:SERVICE, with =FILE,FILE after it or not", word)
			continue
		}
		if found.Service = service; !isUnit(service) {
			found.Service += ".service"
		}
		if limited {
			found.Files = strings.Split(list, ",")
		}
		for _, file := range found.Files {
			if !slices.Contains(fileNames(clients), file) {
				config.Refuse(option, "%q is none of the files %s", file, strings.Join(fileNames(clients), ", "))
			}
		}
		if slices.ContainsFunc(reloads, func(r Reload) bool { return r.Service == found.Service }) {
			config.Refuse(option, "%s is named twice", found.Service)
			continue
		}
		reloads = append(reloads, found)
	}
	return reloads
}

// isUnit reports whether a name has the suffix of a kind of systemd's units that can be restarted (systemd.unit(5)).
func isUnit(name string) bool {
	return slices.ContainsFunc([]string{".service", ".target", ".socket", ".path", ".timer"}, func(suffix string) bool {
		return strings.HasSuffix(name, suffix)
	})
}

// fileNames are the files that a certificates folder may have.
func fileNames(clients []Client) []string {
	names := []string{"ca.crt", "server.crt", "server.key", "client.crt", "client.key", kubeconfigName, kubeletName}
	for _, client := range clients {
		names = append(names, client.Name+".crt", client.Name+".key", client.Name+"."+kubeconfigName)
	}
	return names
}
