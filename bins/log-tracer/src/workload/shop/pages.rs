//! What a customer, or the shop itself, does: each makes one trace.

use log_tracer_proto::otlp::{logs::SeverityNumber, trace::span::SpanKind};
use rand::{RngExt, seq::IndexedRandom};

use super::{
    Trace, Visitor,
    backends::{
        cart_of, check_fraud, convert, list_products, pay, quote, recommend, reserve_stock,
        send_mail, store_order,
    },
    calls::{cache, rpc, sql},
    sdk,
};
use crate::workload::{
    Service,
    recorder::{Open, attribute},
};

const PRODUCTS: [(&str, &str, f64); 8] = [
    ("OLJ-1001", "Sunglasses", 19.99),
    ("OLJ-1002", "Hiking boots", 129.0),
    ("OLJ-1003", "Espresso maker", 64.5),
    ("OLJ-1004", "Wool blanket", 89.0),
    ("OLJ-1005", "Desk lamp", 42.25),
    ("OLJ-1006", "Bicycle bell", 9.75),
    ("OLJ-1007", "Tent for two", 249.0),
    ("OLJ-1008", "Fountain pen", 37.0),
];
const TERMS: [&str; 6] = ["lamp", "boots", "coffee", "tent", "gift under 20", "wool"];
const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
];

pub(super) fn home(trace: &mut Trace<'_>, at: u64) {
    let (mut page, visitor) = visit(trace, "GET", "/", "/", at);
    list_products(trace, &mut page, 12);
    recommend(trace, &mut page, &visitor);
    cart_of(trace, &mut page, &visitor);
    respond(trace, page, "/");
}

pub(super) fn product(trace: &mut Trace<'_>, at: u64) {
    let (id, name, price) = any_product(trace);
    let path = format!("/product/{id}");
    let (mut page, visitor) = visit(trace, "GET", "/product/{id}", &path, at);
    trace.set(&page, "app.product.id", id);
    rpc(
        trace,
        &mut page,
        Service::Catalog,
        "shop.Catalog/GetProduct",
        |trace, server| {
            trace.set(server, "app.product.id", id);
            sql(
                trace,
                server,
                "SELECT",
                "products",
                "SELECT id, name, price FROM products WHERE id = $1",
                2.5,
                1,
            );
            trace.log(
                server,
                SeverityNumber::Debug,
                format!("product {id} is {name}"),
                vec![attribute("app.product.id", id)],
            );
        },
    );
    convert(trace, &mut page, &visitor, price);
    recommend(trace, &mut page, &visitor);
    respond(trace, page, &path);
}

pub(super) fn search(trace: &mut Trace<'_>, at: u64) {
    let term = TERMS.choose(trace.rng).copied().unwrap_or("lamp");
    let (mut page, _) = visit(trace, "GET", "/search", "/search", at);
    trace.set(&page, "url.query", format!("q={term}"));
    rpc(
        trace,
        &mut page,
        Service::Search,
        "shop.Search/Query",
        |trace, server| {
            trace.set(server, "app.search.term", term);
            let cold = trace.rng.random_bool(0.12);
            trace.set(server, "app.search.cache_hit", !cold);
            if cold {
                trace.log(
                    server,
                    SeverityNumber::Warn,
                    format!("index segment for \"{term}\" is not in memory, reading it from disk"),
                    vec![],
                );
                let mut read = trace.child(server, SpanKind::Internal, "load index segment");
                trace.work(&mut read, 900.0);
                trace.close_into(read, server);
            }
            let mut score = trace.child(server, SpanKind::Internal, "score documents");
            trace.work(&mut score, 14.0);
            let documents = i64::from(trace.rng.random_range(20..4_000));
            trace.set(&score, "app.search.documents", documents);
            trace.close_into(score, server);
            let hits = i64::from(trace.rng.random_range(0..60));
            trace.log(
                server,
                SeverityNumber::Info,
                format!("{hits} products match \"{term}\""),
                vec![attribute("app.search.hits", hits)],
            );
        },
    );
    list_products(trace, &mut page, 8);
    respond(trace, page, "/search");
}

pub(super) fn add_to_cart(trace: &mut Trace<'_>, at: u64) {
    let (id, name, _) = any_product(trace);
    let (mut page, visitor) = visit(trace, "POST", "/cart", "/cart", at);
    let quantity = i64::from(trace.rng.random_range(1..4));
    rpc(
        trace,
        &mut page,
        Service::Inventory,
        "shop.Inventory/Reserve",
        |trace, server| {
            trace.set(server, "app.product.id", id);
            sql(
                trace,
                server,
                "UPDATE",
                "stock",
                "UPDATE stock SET reserved = reserved + $2 WHERE product_id = $1",
                4.0,
                1,
            );
        },
    );
    rpc(
        trace,
        &mut page,
        Service::Cart,
        "shop.Cart/AddItem",
        |trace, server| {
            trace.set(server, "user.id", visitor.user.as_str());
            trace.set(server, "app.cart.quantity", quantity);
            cache(trace, server, "HSET", &format!("cart:{}", visitor.user));
            trace.log(
                server,
                SeverityNumber::Info,
                format!("{quantity} x {name} added to the cart of {}", visitor.user),
                vec![
                    attribute("user.id", visitor.user.as_str()),
                    attribute("app.product.id", id),
                ],
            );
        },
    );
    respond(trace, page, "/cart");
}

pub(super) fn checkout(trace: &mut Trace<'_>, at: u64) {
    let (mut page, visitor) = visit(trace, "POST", "/checkout", "/checkout", at);
    let order = format!("o-{:010x}", trace.rng.random_range(0..1_u64 << 40));
    trace.set(&page, "app.order.id", order.as_str());
    let amount = f64::from(trace.rng.random_range(900..60_000)) / 100.0;
    rpc(
        trace,
        &mut page,
        Service::Checkout,
        "shop.Checkout/PlaceOrder",
        |trace, server| {
            trace.set(server, "app.order.id", order.as_str());
            trace.set(server, "user.id", visitor.user.as_str());
            trace.log(
                server,
                SeverityNumber::Info,
                format!("placing order {order}"),
                order_attributes(&order, &visitor, amount),
            );
            cart_of(trace, server, &visitor);
            reserve_stock(trace, server);
            quote(trace, server);
            convert(trace, server, &visitor, amount);
            check_fraud(trace, server, &visitor, amount);
            pay(trace, server, &order, amount);
            if server.failed() {
                trace.log(
                    server,
                    SeverityNumber::Error,
                    format!("order {order} failed"),
                    order_attributes(&order, &visitor, amount),
                );
                return;
            }
            store_order(trace, server);
            send_mail(trace, server, &order, &visitor);
            trace.log(
                server,
                SeverityNumber::Info,
                format!("order {order} placed"),
                order_attributes(&order, &visitor, amount),
            );
        },
    );
    respond(trace, page, "/checkout");
}

/// Work that no customer waits for.
pub(super) fn restock(trace: &mut Trace<'_>, at: u64) {
    let mut job = trace.root(Service::Inventory, SpanKind::Internal, "restock", at);
    let suppliers = trace.rng.random_range(3..9);
    trace.log(
        &job,
        SeverityNumber::Info,
        format!("asking {suppliers} suppliers"),
        vec![],
    );
    for supplier in 1..=suppliers {
        let mut call = trace.child(&job, SpanKind::Client, "GET");
        trace.set(&call, "http.request.method", "GET");
        trace.set(
            &call,
            "server.address",
            format!("supplier-{supplier}.example"),
        );
        trace.set(
            &call,
            "url.full",
            format!("https://supplier-{supplier}.example/v2/stock"),
        );
        trace.work(&mut call, 85.0);
        if trace.rng.random_bool(0.06) {
            trace.work(&mut call, 4_000.0);
            trace.fail(&mut call, "DeadlineExceeded", "no answer within 5 s");
            trace.log(
                &call,
                SeverityNumber::Warn,
                format!("supplier-{supplier} does not answer, keeping the old numbers"),
                vec![],
            );
        } else {
            trace.set(&call, "http.response.status_code", 200);
        }
        trace.close_into(call, &mut job);
        sql(
            trace,
            &mut job,
            "UPDATE",
            "stock",
            "UPDATE stock SET available = $2 WHERE product_id = $1",
            6.0,
            40,
        );
    }
    trace.close(&job);
}

fn visit(trace: &mut Trace<'_>, method: &str, route: &str, path: &str, at: u64) -> (Open, Visitor) {
    let visitor = Visitor {
        user: format!("u-{:05}", trace.rng.random_range(1..5_000)),
        currency: CURRENCIES.choose(trace.rng).copied().unwrap_or("EUR"),
    };
    let agent = AGENTS.choose(trace.rng).copied().unwrap_or("curl/8");
    let address = format!("203.0.113.{}", trace.rng.random_range(1..255));
    let mut page = trace.root(
        Service::Frontend,
        SpanKind::Server,
        &format!("{method} {route}"),
        at,
    );
    trace.set(&page, "http.request.method", method);
    trace.set(&page, "http.route", route);
    trace.set(&page, "url.path", path);
    trace.set(&page, "user_agent.original", agent);
    trace.set(&page, "client.address", address);
    trace.set(&page, "user.id", visitor.user.as_str());
    let session = format!("s-{:08x}", trace.rng.random::<u32>());
    trace.set(&page, "session.id", session);
    sdk::of_request(trace, &page);
    trace.work(&mut page, 0.8);
    sdk::middleware(trace, &mut page);
    (page, visitor)
}

fn respond(trace: &mut Trace<'_>, mut page: Open, path: &str) {
    trace.work(&mut page, 3.0);
    let status: i64 = if page.failed() { 500 } else { 200 };
    trace.set(&page, "http.response.status_code", status);
    let severity = if page.failed() {
        SeverityNumber::Error
    } else {
        SeverityNumber::Info
    };
    trace.log(
        &page,
        severity,
        format!("{path} answered with {status}"),
        vec![attribute("http.response.status_code", status)],
    );
    trace.close(&page);
}

fn order_attributes(
    order: &str,
    visitor: &Visitor,
    amount: f64,
) -> Vec<log_tracer_proto::otlp::common::KeyValue> {
    vec![
        attribute("app.order.id", order),
        attribute("user.id", visitor.user.as_str()),
        attribute("app.amount", amount),
    ]
}

fn any_product(trace: &mut Trace<'_>) -> (&'static str, &'static str, f64) {
    PRODUCTS
        .choose(trace.rng)
        .copied()
        .unwrap_or(("OLJ-1001", "Sunglasses", 19.99))
}
