//! From the Snapshot's route tables to compiled ones. Every error names the field.

use std::sync::Arc;

use crate::conditions::compile_match;
use crate::config::{self, check_seconds, printable, HeaderEdits, PathKind, RouteTable, Snapshot};
use crate::names::Names;
use crate::request_parts::without_port;
use crate::routes::{Action, Edits, Filters, Forward, Host, Mirror, Redirect, Retries, Route, Share, Table, Tables};

/// Compile all route tables of `snapshot`.
///
/// A route may name a cluster that is not there (yet): its requests are answered 503. All else that is wrong is an error.
pub fn compile(snapshot: &Snapshot, names: &mut impl Names) -> Result<Tables, String> {
    let mut tables = Tables::default();
    for table in &snapshot.route_tables {
        let field = format!("route_tables[{:?}]", table.name);
        if tables.by_name.insert(table.name.clone(), tables.all.len()).is_some() {
            return Err(format!("{field}: this name is given twice"));
        }
        tables.all.push(compile_table(table, &field, names)?);
    }
    Ok(tables)
}

fn compile_table(table: &RouteTable, field: &str, names: &mut impl Names) -> Result<Table, String> {
    let mut compiled = Table::default();
    for host in &table.virtual_hosts {
        let field = format!("{field}.virtual_hosts[{:?}]", host.name);
        let number = compiled.hosts.len();
        for domain in &host.domains {
            add_domain(&mut compiled, domain, number).map_err(|what| format!("{field}.domains: {domain:?} {what}"))?;
        }
        let routes = host.routes.iter().enumerate();
        let routes = routes.map(|(at, route)| compile_route(route, host, &format!("{field}.routes[{at}]"), names));
        let routes = routes.collect::<Result<Vec<_>, String>>()?;
        let by_path = routes.iter().all(|route| route.when.is_by_path());
        compiled.passes_any |= by_path && routes.iter().any(|route| route.passes_to.is_some());
        compiled.hosts.push(Host {
            by_path,
            routes,
            request_edits: Edits::compile(&host.request_headers, &format!("{field}.request_headers"))?,
            response_edits: Edits::compile(&host.response_headers, &format!("{field}.response_headers"))?,
        });
    }
    compiled.suffixes.sort_by_key(|(end, _)| std::cmp::Reverse(end.len()));
    compiled.prefixes.sort_by_key(|(start, _)| std::cmp::Reverse(start.len()));
    Ok(compiled)
}

fn add_domain(table: &mut Table, domain: &str, host: usize) -> Result<(), &'static str> {
    let lower = domain.to_ascii_lowercase();
    let name = lower.strip_suffix(":*").map_or_else(|| without_port(lower.as_bytes()), str::as_bytes);
    let unique = |list: &mut Vec<(Box<[u8]>, usize)>, part: &[u8]| {
        let fresh = list.iter().all(|(known, _)| **known != *part);
        list.push((part.into(), host));
        fresh
    };
    let fresh = match name {
        b"" => return Err("is empty"),
        b"*" => table.any.replace(host).is_none(),
        [b'*', suffix @ ..] => unique(&mut table.suffixes, suffix),
        [prefix @ .., b'*'] => unique(&mut table.prefixes, prefix),
        exact if exact.contains(&b'*') => return Err("has a wildcard in its middle"),
        // A host with and without a port is one domain here; a virtual host may list both.
        exact => table.exact.insert(exact, host).is_none_or(|before| before == host),
    };
    if fresh {
        Ok(())
    } else {
        Err("is given twice")
    }
}

fn compile_route(
    route: &config::Route,
    host: &config::VirtualHost,
    field: &str,
    names: &mut impl Names,
) -> Result<Route, String> {
    let label = if route.name.is_empty() { &host.name } else { &route.name };
    check_prefix(route, field)?;
    let filters = route.filters.as_ref();
    let filters = filters.map(|filters| Filters::compile(filters, field, &format!("{field}.filters"), names));
    let action = compile_action(&route.action, &format!("{field}.action"), names)?;
    let edits = [&host.request_headers, &host.response_headers, &route.request_headers, &route.response_headers];
    let asks = filters.is_some() || !edits.into_iter().all(HeaderEdits::is_empty);
    Ok(Route {
        when: compile_match(&route.when, &format!("{field}.match"))?,
        passes_to: (!asks).then(|| action.passes_to()).flatten(),
        action,
        filters: filters.transpose()?,
        label: names.label(&host.name, label),
        request_edits: Edits::compile(&route.request_headers, &format!("{field}.request_headers"))?,
        response_edits: Edits::compile(&route.response_headers, &format!("{field}.response_headers"))?,
    })
}

/// Return an error for a prefix that is to be replaced and is none.
fn check_prefix(route: &config::Route, field: &str) -> Result<(), String> {
    let rewrites = match &route.action {
        config::Action::Forward { prefix_rewrite, .. } | config::Action::Redirect { prefix_rewrite, .. } => {
            !prefix_rewrite.is_empty()
        }
        _ => false,
    };
    if rewrites && route.when.path_kind == PathKind::Regex {
        return Err(format!("{field}.action.prefix_rewrite: a path that is matched by an expression has no prefix"));
    }
    Ok(())
}

fn compile_action(action: &config::Action, field: &str, names: &mut impl Names) -> Result<Action, String> {
    Ok(match action {
        config::Action::Forward {
            clusters,
            timeout_s,
            host_rewrite,
            host_rewrite_header,
            prefix_rewrite,
            path_rewrite,
            retry,
            hash_on,
            mirrors,
        } => {
            check_seconds(*timeout_s).map_err(|what| format!("{field}.timeout_s: {what}"))?;
            let shares = clusters.iter().map(|share| compile_share(share, field, names));
            let shares = shares.collect::<Result<Vec<_>, String>>()?;
            let total = shares.iter().map(|share| share.weight).sum();
            if total == 0 {
                return Err(format!("{field}.clusters: the weights add up to 0"));
            }
            let texts =
                [("host_rewrite", host_rewrite), ("prefix_rewrite", prefix_rewrite), ("path_rewrite", path_rewrite)];
            for (name, text) in texts {
                printable(text).map_err(|what| format!("{field}.{name}: {what}"))?;
            }
            Action::Forward(Forward {
                shares,
                total,
                timeout_s: *timeout_s,
                host_rewrite: host_rewrite.as_bytes().into(),
                host_rewrite_header: host_rewrite_header.to_ascii_lowercase().as_bytes().into(),
                prefix_rewrite: prefix_rewrite.as_bytes().into(),
                path_rewrite: path_rewrite.as_bytes().into(),
                hash_on: hash_on.clone(),
                retry: retry.as_ref().map(|retry| compile_retry(retry, field)).transpose()?,
                mirrors: compile_mirrors(mirrors, field, names)?,
            })
        }
        config::Action::DirectResponse { status, body } => {
            check_status(*status).map_err(|what| format!("{field}.status: {what}"))?;
            Action::Direct { status: *status, body: body.as_bytes().into() }
        }
        config::Action::Redirect { status, scheme, host, port, path, prefix_rewrite } => {
            if !(300..400).contains(status) {
                return Err(format!("{field}.status: {status} is not a redirection"));
            }
            let texts = [("scheme", scheme), ("host", host), ("path", path), ("prefix_rewrite", prefix_rewrite)];
            for (name, text) in texts {
                printable(text).map_err(|what| format!("{field}.{name}: {what}"))?;
            }
            let bytes = |text: &String| text.as_bytes().into();
            Action::Redirect(Redirect {
                status: *status,
                scheme: bytes(scheme),
                host: bytes(host),
                port: *port,
                path: bytes(path),
                prefix_rewrite: bytes(prefix_rewrite),
            })
        }
        config::Action::Serve { handler, max_body_bytes } => {
            Action::Serve { handler: Arc::from(handler.as_str()), max_body_bytes: *max_body_bytes }
        }
        config::Action::Converse { handler } => Action::Converse { handler: Arc::from(handler.as_str()) },
    })
}

fn compile_retry(retry: &config::RetryPolicy, field: &str) -> Result<Retries, String> {
    Retries::compile(retry).map_err(|what| format!("{field}.retry.{what}"))
}

fn compile_mirrors(
    mirrors: &[config::Mirror],
    field: &str,
    names: &mut impl Names,
) -> Result<Vec<Arc<Mirror>>, String> {
    let compiled = mirrors.iter().enumerate().map(|(at, mirror)| {
        Mirror::compile(mirror, names).map(Arc::new).map_err(|what| format!("{field}.mirrors[{at}].{what}"))
    });
    compiled.collect()
}

fn compile_share(share: &config::WeightedCluster, field: &str, names: &mut impl Names) -> Result<Share, String> {
    let field = format!("{field}.clusters[{:?}]", share.name);
    Ok(Share {
        cluster: names.cluster(&share.name),
        weight: share.weight as usize,
        subset: sorted(&share.subset),
        request_edits: Edits::compile(&share.request_headers, &format!("{field}.request_headers"))?,
        response_edits: Edits::compile(&share.response_headers, &format!("{field}.response_headers"))?,
    })
}

fn sorted(labels: &[(String, String)]) -> Vec<(String, String)> {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    labels
}

fn check_status(status: u16) -> Result<(), String> {
    if (200..600).contains(&status) {
        Ok(())
    } else {
        Err(format!("{status} is not the status of a final response"))
    }
}
