//! An application on hyper's pooling client: `pooled ADDRESS`. One request that is answered, one that is not (says `HUNG` and what
//! became of it), and the next one (says `NEXT` likewise).

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::error::Error;

pub(super) fn play(arguments: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
        let get = async |path: &str| {
            let request = Request::builder().uri(format!("http://{}{path}", arguments[0]));
            let answer = client.request(request.body(Empty::new()).expect("a valid request")).await;
            answer.map_or_else(|error| in_words(&error), |answer| format!("answered {}", answer.status()))
        };
        assert_eq!(get("/bytes/10").await, "answered 200 OK");
        println!("\nHUNG {}", get("/hang").await);
        println!("\nNEXT {}", get("/bytes/10").await);
        // Whether it stays alive is not the question.
        std::future::pending::<()>().await;
    });
}

fn in_words(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", in_words(source)),
        None => error.to_string(),
    }
}
