//! What happens in the shop.

use log_tracer_proto::otlp::{logs::SeverityNumber, trace::span::SpanKind};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    Service, Traffic,
    recorder::{Open, Recorder, attribute},
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
const AGENTS: [&str; 3] = ["Firefox/144.0", "Chrome/142.0", "Safari/19.1"];

/// Makes traces, one after the other.
#[derive(Debug)]
pub struct Shop {
    rng: StdRng,
}

type Trace<'a> = Recorder<'a, StdRng>;

impl Shop {
    /// The same seed gives the same traces.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// The next trace, as if it started at this time.
    pub fn next_trace(&mut self, start_unix_nano: u64) -> Traffic {
        let choice = self.rng.random_range(0..100);
        let mut trace = Recorder::new(&mut self.rng);
        match choice {
            0..30 => home(&mut trace, start_unix_nano),
            30..55 => product(&mut trace, start_unix_nano),
            55..70 => search(&mut trace, start_unix_nano),
            70..82 => add_to_cart(&mut trace, start_unix_nano),
            82..96 => checkout(&mut trace, start_unix_nano),
            _ => restock(&mut trace, start_unix_nano),
        }
        trace.finish()
    }
}

/// A customer of the shop; the same number is the same person.
struct Visitor {
    user: String,
    currency: &'static str,
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
    trace.work(&mut page, 2.0);
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

fn home(trace: &mut Trace<'_>, at: u64) {
    let (mut page, visitor) = visit(trace, "GET", "/", "/", at);
    list_products(trace, &mut page, 12);
    recommend(trace, &mut page, &visitor);
    cart_of(trace, &mut page, &visitor);
    respond(trace, page, "/");
}

fn product(trace: &mut Trace<'_>, at: u64) {
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

fn search(trace: &mut Trace<'_>, at: u64) {
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

fn add_to_cart(trace: &mut Trace<'_>, at: u64) {
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

fn checkout(trace: &mut Trace<'_>, at: u64) {
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
fn restock(trace: &mut Trace<'_>, at: u64) {
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

fn list_products(trace: &mut Trace<'_>, page: &mut Open, count: i64) {
    rpc(
        trace,
        page,
        Service::Catalog,
        "shop.Catalog/ListProducts",
        |trace, server| {
            trace.set(server, "app.products.count", count);
            cache(trace, server, "GET", "products:front");
            if trace.rng.random_bool(0.3) {
                sql(
                    trace,
                    server,
                    "SELECT",
                    "products",
                    "SELECT id, name, price FROM products ORDER BY rank LIMIT $1",
                    7.0,
                    count,
                );
                cache(trace, server, "SET", "products:front");
            }
        },
    );
}

fn recommend(trace: &mut Trace<'_>, page: &mut Open, visitor: &Visitor) {
    rpc(
        trace,
        page,
        Service::Recommendation,
        "shop.Recommendation/List",
        |trace, server| {
            trace.set(server, "user.id", visitor.user.as_str());
            let mut model = trace.child(server, SpanKind::Internal, "rank candidates");
            trace.set(&model, "app.model.version", "2026-10");
            trace.work(&mut model, 22.0);
            trace.close_into(model, server);
            if trace.rng.random_bool(0.02) {
                trace.fail(
                    server,
                    "ValueError",
                    "feature vector has 127 dimensions, the model wants 128",
                );
                trace.log(
                server,
                SeverityNumber::Error,
                "ranking failed, answering with the best sellers\nTraceback (most recent call last):\n  File \"rank.py\", line 88, in rank\nValueError: feature vector has 127 dimensions, the model wants 128".to_owned(),
                vec![attribute("user.id", visitor.user.as_str()), attribute("exception.type", "ValueError")],
            );
            }
        },
    );
}

fn cart_of(trace: &mut Trace<'_>, caller: &mut Open, visitor: &Visitor) {
    rpc(
        trace,
        caller,
        Service::Cart,
        "shop.Cart/GetCart",
        |trace, server| {
            trace.set(server, "user.id", visitor.user.as_str());
            cache(trace, server, "HGETALL", &format!("cart:{}", visitor.user));
        },
    );
}

fn convert(trace: &mut Trace<'_>, caller: &mut Open, visitor: &Visitor, amount: f64) {
    rpc(
        trace,
        caller,
        Service::Currency,
        "shop.Currency/Convert",
        |trace, server| {
            trace.set(server, "app.currency.from", "EUR");
            trace.set(server, "app.currency.to", visitor.currency);
            trace.set(server, "app.amount", amount);
            trace.work(server, 0.4);
        },
    );
}

fn reserve_stock(trace: &mut Trace<'_>, caller: &mut Open) {
    rpc(
        trace,
        caller,
        Service::Inventory,
        "shop.Inventory/Commit",
        |trace, server| {
            let lines = i64::from(trace.rng.random_range(1..5));
            for _ in 0..lines {
                sql(
                    trace,
                    server,
                    "UPDATE",
                    "stock",
                    "UPDATE stock SET available = available - $2 WHERE product_id = $1",
                    3.0,
                    1,
                );
            }
            if trace.rng.random_bool(0.07) {
                trace.log(
                    server,
                    SeverityNumber::Warn,
                    "waiting for a row lock on stock held by another order".to_owned(),
                    vec![attribute("db.collection.name", "stock")],
                );
                let mut wait = trace.child(server, SpanKind::Internal, "wait for row lock");
                trace.work(&mut wait, 1_400.0);
                trace.close_into(wait, server);
            }
        },
    );
}

fn quote(trace: &mut Trace<'_>, caller: &mut Open) {
    rpc(
        trace,
        caller,
        Service::Shipping,
        "shop.Shipping/Quote",
        |trace, server| {
            trace.work(server, 9.0);
            let days = i64::from(trace.rng.random_range(1..6));
            trace.log(
                server,
                SeverityNumber::Info,
                format!("delivery in {days} days"),
                vec![attribute("app.shipping.days", days)],
            );
        },
    );
}

fn check_fraud(trace: &mut Trace<'_>, caller: &mut Open, visitor: &Visitor, amount: f64) {
    rpc(
        trace,
        caller,
        Service::Fraud,
        "shop.Fraud/Score",
        |trace, server| {
            trace.set(server, "user.id", visitor.user.as_str());
            trace.work(server, 18.0);
            let score = f64::from(trace.rng.random_range(0..1_000)) / 1_000.0;
            trace.set(server, "app.fraud.score", score);
            if score > 0.97 {
                trace.log(
                    server,
                    SeverityNumber::Warn,
                    format!("order over {amount:.2} looks like fraud"),
                    vec![
                        attribute("app.fraud.score", score),
                        attribute("user.id", visitor.user.as_str()),
                    ],
                );
            }
        },
    );
}

fn pay(trace: &mut Trace<'_>, caller: &mut Open, order: &str, amount: f64) {
    let mut declined = false;
    rpc(
        trace,
        caller,
        Service::Payment,
        "shop.Payment/Charge",
        |trace, server| {
            trace.set(server, "app.order.id", order);
            trace.set(server, "app.amount", amount);
            // A gateway that times out is asked a second time.
            for attempt in 1..=2_i64 {
                let mut call = trace.child(server, SpanKind::Client, "POST");
                trace.set(&call, "http.request.method", "POST");
                trace.set(&call, "server.address", "cards.example");
                trace.set(&call, "url.full", "https://cards.example/v1/charges");
                trace.set(&call, "http.request.resend_count", attempt - 1);
                trace.work(&mut call, 120.0);
                let slow = attempt == 1 && trace.rng.random_bool(0.05);
                if slow {
                    trace.work(&mut call, 1_900.0);
                    trace.fail(
                        &mut call,
                        "TimeoutError",
                        "cards.example did not answer within 2 s",
                    );
                    trace.log(
                        &call,
                        SeverityNumber::Warn,
                        format!("charge of order {order} timed out, trying again"),
                        vec![
                            attribute("app.order.id", order),
                            attribute("retry.attempt", attempt),
                        ],
                    );
                    trace.close_into(call, server);
                    continue;
                }
                declined = trace.rng.random_bool(0.05);
                trace.set(
                    &call,
                    "http.response.status_code",
                    if declined { 402 } else { 201 },
                );
                trace.close_into(call, server);
                break;
            }
            if declined {
                trace.fail(
                    server,
                    "CardDeclined",
                    "the card was declined: insufficient funds",
                );
                trace.log(
                    server,
                    SeverityNumber::Error,
                    format!("payment of order {order} refused: card declined"),
                    vec![
                        attribute("app.order.id", order),
                        attribute("error.type", "CardDeclined"),
                    ],
                );
            } else {
                trace.log(
                    server,
                    SeverityNumber::Info,
                    format!("charged {amount:.2} EUR for order {order}"),
                    vec![
                        attribute("app.order.id", order),
                        attribute("app.amount", amount),
                    ],
                );
            }
        },
    );
    if declined {
        trace.fail_quietly(caller, "payment failed");
    }
}

fn store_order(trace: &mut Trace<'_>, caller: &mut Open) {
    let mut transaction = trace.child(caller, SpanKind::Internal, "store order");
    sql(
        trace,
        &mut transaction,
        "INSERT",
        "orders",
        "INSERT INTO orders (id, user_id, total) VALUES ($1, $2, $3)",
        5.0,
        1,
    );
    sql(
        trace,
        &mut transaction,
        "INSERT",
        "order_lines",
        "INSERT INTO order_lines (order_id, product_id, quantity) VALUES ($1, $2, $3)",
        6.0,
        3,
    );
    trace.close_into(transaction, caller);
}

/// Puts a message on a queue; the mail goes out later, after the customer has the answer.
fn send_mail(trace: &mut Trace<'_>, caller: &mut Open, order: &str, visitor: &Visitor) {
    let mut publish = trace.child(caller, SpanKind::Producer, "send mail.orders");
    trace.set(&publish, "messaging.system", "nats");
    trace.set(&publish, "messaging.destination.name", "mail.orders");
    trace.work(&mut publish, 1.2);
    let mut consume = trace.remote(
        &publish,
        Service::Email,
        SpanKind::Consumer,
        "process mail.orders",
    );
    trace.set(&consume, "messaging.system", "nats");
    trace.set(&consume, "messaging.destination.name", "mail.orders");
    trace.set(&consume, "app.order.id", order);
    trace.work(&mut consume, 45.0);
    trace.log(
        &consume,
        SeverityNumber::Info,
        format!("confirmation of order {order} sent to {}", visitor.user),
        vec![attribute("app.order.id", order)],
    );
    if trace.rng.random_bool(0.03) {
        trace.log(
            &consume,
            SeverityNumber::Warn,
            "mail server answered 451, greylisted: will be sent again".to_owned(),
            vec![],
        );
    }
    trace.close(&consume);
    trace.close_into(publish, caller);
}

/// A call over gRPC: the client's span, the server's, and what the server does.
fn rpc(
    trace: &mut Trace<'_>,
    caller: &mut Open,
    service: Service,
    method: &str,
    serve: impl FnOnce(&mut Trace<'_>, &mut Open),
) {
    let mut client = trace.child(caller, SpanKind::Client, method);
    trace.set(&client, "rpc.system.name", "grpc");
    trace.set(&client, "server.address", service.name());
    let mut server = trace.remote(&client, service, SpanKind::Server, method);
    trace.set(&server, "rpc.system.name", "grpc");
    trace.work(&mut server, 1.0);
    serve(trace, &mut server);
    trace.work(&mut server, 0.5);
    let failed = server.failed();
    let status = if failed { "INTERNAL" } else { "OK" };
    trace.set(&server, "rpc.response.status_code", status);
    trace.set(&client, "rpc.response.status_code", status);
    trace.close_into(server, &mut client);
    if failed {
        trace.fail_quietly(&mut client, "INTERNAL");
    }
    trace.close_into(client, caller);
}

fn sql(
    trace: &mut Trace<'_>,
    caller: &mut Open,
    operation: &str,
    table: &str,
    text: &str,
    median_ms: f64,
    rows: i64,
) {
    let mut query = trace.child(caller, SpanKind::Client, &format!("{operation} {table}"));
    trace.set(&query, "db.system.name", "postgresql");
    trace.set(&query, "db.namespace", "shop");
    trace.set(&query, "db.operation.name", operation);
    trace.set(&query, "db.collection.name", table);
    trace.set(&query, "db.query.text", text);
    trace.set(&query, "db.response.returned_rows", rows);
    trace.work(&mut query, median_ms);
    if trace.rng.random_bool(0.015) {
        trace.work(&mut query, median_ms * 120.0);
        trace.log(
            &query,
            SeverityNumber::Warn,
            format!("slow query on {table}"),
            vec![
                attribute("db.query.text", text),
                attribute("db.collection.name", table),
            ],
        );
    }
    trace.close_into(query, caller);
}

fn cache(trace: &mut Trace<'_>, caller: &mut Open, command: &str, key: &str) {
    let mut call = trace.child(caller, SpanKind::Client, command);
    trace.set(&call, "db.system.name", "redis");
    trace.set(&call, "db.operation.name", command);
    trace.set(&call, "db.query.text", format!("{command} {key}"));
    trace.work(&mut call, 0.5);
    trace.close_into(call, caller);
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
