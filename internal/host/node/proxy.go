package node

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"kind-local-registry/config"
)

// ProxyConfig is the file with which setup keeps containerd from sending pulls from the registry to a proxy. systemd reads the files in
// its directory in the order of their names, and the last setting counts.
const ProxyConfig = "/etc/systemd/system/containerd.service.d/zz-kind-local-registry.conf"

// environment contains the environment variables of the node's containerd that concern proxies.
type environment map[string]string

// proxyEnvironment returns the environment of the containerd that runs on the node. It is empty if no containerd runs.
func (n Node) proxyEnvironment(ctx context.Context) (environment, error) {
	printed, err := n.Run(ctx, proxyScript)
	if err != nil {
		return nil, fmt.Errorf("reading containerd's environment: %w", err)
	}
	found := environment{}
	for line := range strings.Lines(string(printed)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		found[name] = value
	}
	return found, nil
}

// proxies returns the settings as containerd reads them, see net/http.ProxyFromEnvironment.
func (e environment) proxies() *httpproxy.Config {
	first := func(names ...string) string {
		for _, name := range names {
			if e[name] != "" {
				return e[name]
			}
		}
		return ""
	}
	return &httpproxy.Config{
		HTTPProxy: first("HTTP_PROXY", "http_proxy"), HTTPSProxy: first("HTTPS_PROXY", "https_proxy"), NoProxy: first("NO_PROXY", "no_proxy"),
	}
}

// proxy returns the proxy to which containerd sends pulls from the registry, or nil if it sends them to the registry.
func (e environment) proxy() (*url.URL, error) {
	server, err := url.Parse(registryURL())
	if err != nil {
		return nil, err
	}
	proxy, err := e.proxies().ProxyFunc()(server)
	if err != nil {
		return nil, fmt.Errorf("reading containerd's proxy settings: %w", err)
	}
	return proxy, nil
}

// CheckProxy describes the proxy to which containerd sends pulls from the registry. It returns "" if there is none.
func (n Node) CheckProxy(ctx context.Context) (missing string, err error) {
	found, err := n.proxyEnvironment(ctx)
	if err != nil {
		return "", err
	}
	proxy, err := found.proxy()
	if err != nil || proxy == nil {
		return "", err
	}
	return fmt.Sprintf("containerd on node %s sends pulls from %s to the proxy %s", n.Name, config.RegistryContainer, proxy.Redacted()), nil
}

// configureProxy adds the registry to containerd's NO_PROXY if containerd would otherwise send pulls from it to a proxy.
func (n Node) configureProxy(ctx context.Context) error {
	found, err := n.proxyEnvironment(ctx)
	if err != nil {
		return err
	}
	proxy, err := found.proxy()
	if err != nil || proxy == nil {
		return err
	}
	if _, err := n.Run(ctx, configureProxyScript, ProxyConfig, proxyConfig(found.proxies().NoProxy)); err != nil {
		return fmt.Errorf("adding %s to containerd's NO_PROXY: %w", config.RegistryContainer, err)
	}
	return nil
}

// restoreProxy removes the file that configureProxy wrote.
func (n Node) restoreProxy(ctx context.Context) error {
	if _, err := n.Run(ctx, restoreProxyScript, ProxyConfig, HostsMark); err != nil {
		return fmt.Errorf("restoring containerd's NO_PROXY: %w", err)
	}
	return nil
}

// proxyConfig returns a drop-in for containerd's unit that adds the registry to NO_PROXY; see systemd.exec(5).
func proxyConfig(noProxy string) string {
	if noProxy != "" {
		noProxy += ","
	}
	value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(noProxy) + config.RegistryContainer
	return fmt.Sprintf("%s\n[Service]\nEnvironment=\"NO_PROXY=%s\" \"no_proxy=%s\"\n", HostsMark, value, value)
}
