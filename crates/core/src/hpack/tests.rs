#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use super::*;
fn x(s:&str)->Vec<u8>{ (0..s.len()/2).map(|i| u8::from_str_radix(&s[2*i..2*i+2],16).unwrap()).collect() }
fn dec(d:&mut Decoder,s:&str)->Vec<(String,String)>{ let mut v=vec![]; d.decode(&x(s),|f| v.push((String::from_utf8_lossy(f.name).into(),String::from_utf8_lossy(f.value).into()))).unwrap(); v}
#[test] fn c4(){ let mut d=Decoder::default();
 println!("{:?}",dec(&mut d,"828684418cf1e3c2e5f23a6ba0ab90f4ff"));
 println!("{:?}",dec(&mut d,"828684be5886a8eb10649cbf"));
 println!("{:?}",dec(&mut d,"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"));
 let mut e=Encoder::default(); let mut d=Decoder::default();
 for _ in 0..4 { let mut out=vec![]; e.begin(&mut out);
  for (n,v) in [(":method","GET"),(":path","/abc/def?x=1"),("x-request-id","11111"),("user-agent","curl/7.88.1"),("authorization","secret"),("x-y","z")] { e.field(n.as_bytes(),v.as_bytes(),false,&mut out);} 
  println!("{} {:?}",out.len(),{let mut v=vec![]; d.decode(&out,|f| v.push((String::from_utf8_lossy(f.name).to_string(),String::from_utf8_lossy(f.value).to_string(),f.never_indexed))).unwrap(); v}); }
}
